-- Copies of a tenant's data, and its erasure. Runs last: every table of the tenants is opened to erasure here.
CREATE TABLE app.exports (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    requested_by_id UUID NOT NULL,
    requested_by TEXT NOT NULL,
    state TEXT NOT NULL,
    tables INTEGER NOT NULL,
    tables_total INTEGER NOT NULL,
    rows BIGINT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    error TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT exports_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT exports_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX exports_ready_idx ON app.exports (state, expires_at);

-- No tenant_id: it outlives the tenants. Ids only, and whom the certificate goes to, sealed until it went.
CREATE TABLE app.erasures (
    erased_id UUID NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    removed JSONB NOT NULL,
    sealed_notice BYTEA,
    certificate JSONB,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT erasures_pkey PRIMARY KEY (erased_id)
);

GRANT SELECT, INSERT, UPDATE ON app.exports, app.erasures TO ap_app;
GRANT SELECT ON app.exports TO ap_platform;
GRANT SELECT (erased_id, kind, reason, removed, certificate, begun_at, finished_at) ON app.erasures TO ap_platform;

ALTER TABLE app.exports ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.exports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON app.exports TO ap_app
    USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()));
CREATE POLICY platform_reads ON app.exports FOR SELECT TO ap_platform
    USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()));

-- What is due: finished exports whose time is over. Ids only.
CREATE POLICY looked_up ON app.exports FOR SELECT TO ap_lookup USING (true);
GRANT SELECT (tenant_id, id, state, expires_at) ON app.exports TO ap_lookup;
CREATE FUNCTION app.exports_over(until timestamptz) RETURNS TABLE (tenant_id uuid, export_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT e.tenant_id, e.id FROM app.exports e WHERE e.state = 'ready' AND e.expires_at <= until
        ORDER BY e.tenant_id, e.id
    $$;

-- The only way rows of a tenant go for good: as ap_eraser, who sees the bound tenant's rows alone, and only once the
-- ledger says that this tenant is to be erased. What is not opened to ap_eraser stays: the audit log.
GRANT USAGE ON SCHEMA app TO ap_eraser;
GRANT SELECT (erased_id, kind) ON app.erasures TO ap_eraser;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE n.nspname = 'app' AND c.relkind = 'r' AND c.relname NOT LIKE 'audit\_%'
    LOOP
        EXECUTE format('GRANT SELECT, DELETE ON app.%I TO ap_eraser', name);
        EXECUTE format('CREATE POLICY erased ON app.%I TO ap_eraser USING (tenant_id = (SELECT app.tenant()))', name);
    END LOOP;
END
$$;
GRANT SELECT, DELETE ON app.tenants, app.users TO ap_eraser;
CREATE POLICY erased ON app.tenants TO ap_eraser USING (id = (SELECT app.tenant()));
CREATE POLICY erased ON app.users TO ap_eraser USING (id = (SELECT app.bound_user()));
-- Whether somebody still belongs anywhere decides whether they are erased.
CREATE POLICY belongs ON app.memberships FOR SELECT TO ap_eraser USING (user_id = (SELECT app.bound_user()));

-- Up to ``most`` of the bound tenant's rows in one table; how many went.
CREATE FUNCTION app.erase_rows(wanted text, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    gone bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM app.erasures e WHERE e.erased_id = app.tenant() AND e.kind = 'tenant') THEN
        RAISE EXCEPTION 'the erasure of this tenant is not in the ledger';
    END IF;
    EXECUTE format(
        'DELETE FROM app.%1$I WHERE ctid = ANY (ARRAY('
        '    SELECT ctid FROM app.%1$I WHERE tenant_id = app.tenant() LIMIT %2$s))', wanted, most);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

-- The bound tenant's own row, and with it whatever still refers to it.
CREATE FUNCTION app.erase_tenant() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM app.erasures e WHERE e.erased_id = app.tenant() AND e.kind = 'tenant') THEN
        RAISE EXCEPTION 'the erasure of this tenant is not in the ledger';
    END IF;
    DELETE FROM app.tenants WHERE id = app.tenant();
    RETURN FOUND;
END
$$;

-- The bound user with everything that is theirs. anyway: though they belong to a tenant, as after a restore.
CREATE FUNCTION app.erase_user(anyway boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM app.erasures e WHERE e.erased_id = app.bound_user() AND e.kind = 'user') THEN
        RAISE EXCEPTION 'the erasure of this user is not in the ledger';
    END IF;
    DELETE FROM app.users u WHERE u.id = app.bound_user() AND NOT u.is_platform_admin
        AND (anyway OR NOT EXISTS (SELECT FROM app.memberships m WHERE m.user_id = u.id));
    RETURN FOUND;
END
$$;

GRANT CREATE ON SCHEMA app TO ap_eraser, ap_lookup;
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'erase_rows(text, integer)', 'erase_tenant()', 'erase_user(boolean)', 'exports_over(timestamptz)'
    ] LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION app.' || signature || ' FROM PUBLIC';
        EXECUTE 'GRANT EXECUTE ON FUNCTION app.' || signature || ' TO ap_app';
    END LOOP;
    FOREACH signature IN ARRAY ARRAY['erase_rows(text, integer)', 'erase_tenant()', 'erase_user(boolean)'] LOOP
        EXECUTE 'ALTER FUNCTION app.' || signature || ' OWNER TO ap_eraser';
    END LOOP;
    ALTER FUNCTION app.exports_over(timestamptz) OWNER TO ap_lookup;
END
$$;
REVOKE CREATE ON SCHEMA app FROM ap_eraser, ap_lookup;
