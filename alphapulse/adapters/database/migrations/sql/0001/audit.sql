-- The only way into the audit log. One head row per chain is locked, so chains never fork; heads are locked in the
-- order of their ids, so two callers never wait for each other in a ring.
--
-- A row's hash is sha256(previous hash || text), the text being each field as "length:value," in the order
-- tenant_id, sequence, actor, action, path, status, outcome, request_id, address, duration_ms, at. Lengths count
-- bytes of UTF-8; at is microseconds since 1970. alphapulse/audit/store.py computes the same.
CREATE FUNCTION audit.field(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT pg_catalog.octet_length(value) || ':' || value || ',' $$;

-- events: an array of objects with the fields of app.audit_events; "at" in microseconds since 1970.
CREATE FUNCTION audit.append(events jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e record;
    head app.audit_heads;
    previous bytea;
BEGIN
    INSERT INTO app.audit_heads (tenant_id, sequence, hash)
        SELECT DISTINCT (item->>'tenant_id')::uuid, 0, decode(repeat('00', 32), 'hex')
        FROM jsonb_array_elements(events) AS item ORDER BY 1
        ON CONFLICT DO NOTHING;
    FOR e IN
        SELECT x.*, ordinality FROM ROWS FROM (jsonb_to_recordset(events) AS (
            tenant_id uuid, actor text, action text, path text, status integer, outcome text, request_id text,
            address text, duration_ms integer, at bigint)) WITH ORDINALITY AS x
        ORDER BY x.tenant_id, ordinality
    LOOP
        IF head.tenant_id IS DISTINCT FROM e.tenant_id THEN
            UPDATE app.audit_heads h SET sequence = head.sequence, hash = head.hash WHERE h.tenant_id = head.tenant_id;
            SELECT * INTO STRICT head FROM app.audit_heads h WHERE h.tenant_id = e.tenant_id FOR UPDATE;
        END IF;
        previous := head.hash;
        head.sequence := head.sequence + 1;
        head.hash := sha256(previous || convert_to(
            audit.field(e.tenant_id::text) || audit.field(head.sequence::text) || audit.field(e.actor)
            || audit.field(e.action) || audit.field(e.path) || audit.field(e.status::text) || audit.field(e.outcome)
            || audit.field(e.request_id) || audit.field(e.address) || audit.field(e.duration_ms::text)
            || audit.field(e.at::text), 'UTF8'));
        INSERT INTO app.audit_events (tenant_id, sequence, actor, action, path, status, outcome, request_id, address,
                duration_ms, at, previous_hash, hash)
            VALUES (e.tenant_id, head.sequence, e.actor, e.action, e.path, e.status, e.outcome, e.request_id,
                e.address, e.duration_ms, timestamptz '1970-01-01 00:00:00+00' + e.at * interval '1 microsecond',
                previous, head.hash);
    END LOOP;
    UPDATE app.audit_heads h SET sequence = head.sequence, hash = head.hash WHERE h.tenant_id = head.tenant_id;
END
$$;
GRANT CREATE, USAGE ON SCHEMA audit TO ap_audit;
REVOKE ALL ON FUNCTION audit.append(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.append(jsonb) TO ap_app;
ALTER FUNCTION audit.append(jsonb) OWNER TO ap_audit;
REVOKE CREATE ON SCHEMA audit FROM ap_audit;
