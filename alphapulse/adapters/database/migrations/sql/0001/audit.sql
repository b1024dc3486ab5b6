-- The only way into the audit log. One head row per chain is locked, so chains never fork; heads are locked in the
-- order of their ids, so two callers never wait for each other in a ring.
--
-- A row's hash is sha256(previous hash || text), the text being each field as "length:value," in the order
-- tenant_id, sequence, kind, actor, action, path, status, outcome, request_id, address, duration_ms, subject, changes,
-- reason, support, count, at. Lengths count bytes of UTF-8; at is microseconds since 1970. alphapulse/audit/store.py
-- computes the same.
--
-- Months: a row belongs to the month of its time, but never to one before its predecessor's, so that what is dropped
-- with a month is one end of every chain.
-- The month of a time in microseconds since 1970; a clock that runs ahead does not take a chain into the future.
CREATE FUNCTION audit.month_of(at bigint) RETURNS date LANGUAGE sql STABLE STRICT
    AS $$
        SELECT date_trunc('month', least(timestamptz '1970-01-01 00:00:00+00' + at * interval '1 microsecond',
            pg_catalog.statement_timestamp() + interval '1 day') AT TIME ZONE 'UTC')::date
    $$;

-- Makes the partition of a month unless it is there.
CREATE FUNCTION audit.add_month(wanted date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    first date := date_trunc('month', wanted);
    name text := 'events_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF to_regclass('audit.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(4815162343);
    -- Asked of the table: to_regclass may remember from before the wait that there was none.
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = name AND c.relnamespace = 'audit'::regnamespace) THEN
        RETURN;
    END IF;
    -- Attached rather than made in place: that would keep every reader and writer of the log out meanwhile.
    EXECUTE format('CREATE TABLE audit.%I (LIKE app.audit_events INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE audit.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE app.audit_events ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)',
        name, first, (first + interval '1 month')::date);
END
$$;

-- events: an array of objects with the fields of app.audit_events; "at" in microseconds since 1970.
CREATE FUNCTION audit.append(events jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e record;
    head app.audit_heads;
    previous bytea;
    zero constant bytea := decode(repeat('00', 32), 'hex');
    -- Of each row, in the order of the loop: what the chain adds to it.
    places bigint[];
    sequences bigint[];
    months date[];
    befores bytea[];
    hashes bytea[];
BEGIN
    -- Before any head is locked: making a month waits for whoever else makes it.
    PERFORM audit.add_month(month)
        FROM (SELECT DISTINCT audit.month_of((item->>'at')::bigint) FROM jsonb_array_elements(events) AS item)
        AS months (month);
    INSERT INTO app.audit_heads (tenant_id, sequence, hash, month)
        SELECT DISTINCT (item->>'tenant_id')::uuid, 0, zero, date '1970-01-01'
        FROM jsonb_array_elements(events) AS item ORDER BY 1
        ON CONFLICT DO NOTHING;
    FOR e IN
        SELECT x.tenant_id, x.at, x.ordinality,
            -- One call: field by field it would cost more than storing the row.
            format('36:%s,', x.tenant_id) AS owner,
            format(
                '%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,%s:%s,',
                octet_length(x.kind), x.kind, octet_length(x.actor), x.actor, octet_length(x.action), x.action,
                octet_length(x.path), x.path, octet_length(x.status::text), x.status, octet_length(x.outcome),
                x.outcome, octet_length(x.request_id), x.request_id, octet_length(x.address), x.address,
                octet_length(x.duration_ms::text), x.duration_ms, octet_length(x.subject), x.subject,
                octet_length(x.changes), x.changes, octet_length(x.reason), x.reason, octet_length(x.support),
                x.support, octet_length(x.count::text), x.count, octet_length(x.at::text), x.at
            ) AS rest
        FROM ROWS FROM (jsonb_to_recordset(events) AS (
            tenant_id uuid, kind text, actor text, action text, path text, status integer, outcome text,
            request_id text, address text, duration_ms integer, subject text, changes text, reason text, support text,
            count integer, at bigint)) WITH ORDINALITY AS x
        ORDER BY x.tenant_id, x.ordinality
    LOOP
        IF head.tenant_id IS DISTINCT FROM e.tenant_id THEN
            IF head.tenant_id IS NOT NULL THEN
                UPDATE app.audit_heads h SET sequence = head.sequence, hash = head.hash, month = head.month
                    WHERE h.tenant_id = head.tenant_id;
            END IF;
            SELECT * INTO STRICT head FROM app.audit_heads h WHERE h.tenant_id = e.tenant_id FOR UPDATE;
        END IF;
        previous := head.hash;
        head.sequence := head.sequence + 1;
        head.month := greatest(head.month, audit.month_of(e.at));
        head.hash := sha256(previous || convert_to(
            e.owner || format('%s:%s,', length(head.sequence::text), head.sequence) || e.rest, 'UTF8'));
        places := places || e.ordinality;
        sequences := sequences || head.sequence;
        months := months || head.month;
        befores := befores || previous;
        hashes := hashes || head.hash;
    END LOOP;
    UPDATE app.audit_heads h SET sequence = head.sequence, hash = head.hash, month = head.month
        WHERE h.tenant_id = head.tenant_id;
    INSERT INTO app.audit_events (tenant_id, sequence, month, kind, actor, action, path, status, outcome, request_id,
            address, duration_ms, subject, changes, reason, support, count, at, previous_hash, hash)
        SELECT x.tenant_id, c.sequence, c.month, x.kind, x.actor, x.action, x.path, x.status, x.outcome, x.request_id,
            x.address, x.duration_ms, x.subject, x.changes, x.reason, x.support, x.count,
            timestamptz '1970-01-01 00:00:00+00' + x.at * interval '1 microsecond', c.previous, c.hash
        FROM ROWS FROM (jsonb_to_recordset(events) AS (
            tenant_id uuid, kind text, actor text, action text, path text, status integer, outcome text,
            request_id text, address text, duration_ms integer, subject text, changes text, reason text, support text,
            count integer, at bigint)) WITH ORDINALITY AS x
        JOIN unnest(places, sequences, months, befores, hashes) AS c (place, sequence, month, previous, hash)
            ON c.place = x.ordinality;
END
$$;

-- The keys of people in chains, made where they lack. wanted: objects with tenant_id (the chain), person (a user's id,
-- or an e-mail address, which stands for its user where there is one), and the id and sealed key (hexadecimal) to store
-- when there is none yet. A sealed key opens with the daemon's master key only.
CREATE FUNCTION audit.keys_of(wanted jsonb) RETURNS TABLE (ordinal bigint, id uuid, sealed bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO app.audit_keys (tenant_id, id, person, sealed, created_at)
        SELECT (w->>'tenant_id')::uuid, (w->>'id')::uuid, coalesce(app.user_by_email(w->>'person')::text, w->>'person'),
            decode(w->>'sealed', 'hex'), statement_timestamp()
        FROM jsonb_array_elements(wanted) AS w ORDER BY 1, 3
        ON CONFLICT (tenant_id, person) DO NOTHING;
    RETURN QUERY
        SELECT w.ordinality, k.id, k.sealed
        FROM jsonb_array_elements(wanted) WITH ORDINALITY AS w (item, ordinality)
        JOIN app.audit_keys k ON k.tenant_id = (w.item->>'tenant_id')::uuid
            AND k.person = coalesce(app.user_by_email(w.item->>'person')::text, w.item->>'person');
END
$$;

-- Destroys the keys of people in every chain: what was sealed with them can never be read again.
CREATE FUNCTION audit.forget(people text[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        WITH gone AS (DELETE FROM app.audit_keys WHERE person = ANY (people) RETURNING 1) SELECT count(*) FROM gone
    $$;

-- Destroys every key in the chain of the bound tenant.
CREATE FUNCTION audit.forget_chain() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        WITH gone AS (DELETE FROM app.audit_keys WHERE tenant_id = app.tenant() RETURNING 1) SELECT count(*) FROM gone
    $$;

-- Publishes where the bound chain stands at the end of the months before one: verifying starts there once they are
-- dropped. fresh: whether this call published it. Empty when the chain has nothing in them.
CREATE FUNCTION audit.checkpoint(before date) RETURNS TABLE (sequence bigint, hash bytea, fresh boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    last record;
BEGIN
    SELECT e.sequence, e.hash, e.month INTO last FROM app.audit_events e
        WHERE e.tenant_id = app.tenant() AND e.month < before ORDER BY e.sequence DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO app.audit_checkpoints (tenant_id, sequence, hash, month, recorded_at)
        VALUES (app.tenant(), last.sequence, last.hash, last.month, statement_timestamp())
        ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT last.sequence::bigint, last.hash::bytea, FOUND;
END
$$;

-- Drops the months before one; each only when every chain that has rows in it has published a checkpoint behind them.
-- Whatever asks: nothing of the last three months is dropped. Returns the months that were dropped.
CREATE FUNCTION audit.drop_months(before date) RETURNS SETOF date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    part record;
    uncovered uuid;
BEGIN
    IF before > date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') - interval '3 months' THEN
        RAISE EXCEPTION 'the last three months of the audit log are kept';
    END IF;
    FOR part IN
        SELECT c.relname, to_date(substr(c.relname, 8), 'YYYY_MM') AS month
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'app.audit_events'::regclass ORDER BY 2
    LOOP
        CONTINUE WHEN part.month >= before;
        SELECT e.tenant_id INTO uncovered FROM (
            SELECT tenant_id, max(sequence) AS last FROM app.audit_events WHERE month = part.month GROUP BY tenant_id) e
        WHERE NOT EXISTS (
            SELECT FROM app.audit_checkpoints c WHERE c.tenant_id = e.tenant_id AND c.sequence >= e.last)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'chain % has no checkpoint behind the month %', uncovered, part.month;
        END IF;
        EXECUTE format('DROP TABLE audit.%I', part.relname);
        RETURN NEXT part.month;
    END LOOP;
END
$$;

-- The log is read by its tenant and written by the functions above alone.
CREATE POLICY tenant_reads ON app.audit_events FOR SELECT TO ap_app USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY tenant_reads ON app.audit_heads FOR SELECT TO ap_app USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY tenant_reads ON app.audit_checkpoints FOR SELECT TO ap_app USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY tenant_reads ON app.audit_keys FOR SELECT TO ap_app USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY appends ON app.audit_events FOR INSERT TO ap_audit WITH CHECK (true);
CREATE POLICY appends ON app.audit_heads TO ap_audit USING (true) WITH CHECK (true);
CREATE POLICY keeps ON app.audit_keys TO ap_audit USING (true) WITH CHECK (true);
CREATE POLICY retains ON app.audit_events FOR SELECT TO ap_retention USING (true);
CREATE POLICY retains ON app.audit_checkpoints TO ap_retention USING (true) WITH CHECK (true);
GRANT INSERT ON app.audit_events TO ap_audit;
GRANT SELECT, INSERT, UPDATE ON app.audit_heads TO ap_audit;
GRANT SELECT, INSERT, DELETE ON app.audit_keys TO ap_audit;
GRANT SELECT, INSERT ON app.audit_checkpoints TO ap_retention;

GRANT USAGE ON SCHEMA app, audit TO ap_retention;
GRANT CREATE, USAGE ON SCHEMA audit TO ap_audit;
GRANT CREATE ON SCHEMA audit TO ap_retention;
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'append(jsonb)', 'keys_of(jsonb)', 'forget(text[])', 'forget_chain()', 'checkpoint(date)', 'drop_months(date)',
        'add_month(date)'
    ] LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION audit.' || signature || ' FROM PUBLIC';
        EXECUTE 'GRANT EXECUTE ON FUNCTION audit.' || signature || ' TO ap_app';
    END LOOP;
    GRANT EXECUTE ON FUNCTION audit.add_month(date) TO ap_audit;
    FOREACH signature IN ARRAY ARRAY['append(jsonb)', 'keys_of(jsonb)', 'forget(text[])', 'forget_chain()'] LOOP
        EXECUTE 'ALTER FUNCTION audit.' || signature || ' OWNER TO ap_audit';
    END LOOP;
    FOREACH signature IN ARRAY ARRAY['checkpoint(date)', 'drop_months(date)', 'add_month(date)'] LOOP
        EXECUTE 'ALTER FUNCTION audit.' || signature || ' OWNER TO ap_retention';
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA audit FROM ap_audit;
