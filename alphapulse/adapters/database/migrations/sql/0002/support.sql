-- A platform admin's leave to change a tenant. The tenant sees every one of them.
CREATE TABLE app.support_sessions (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT support_sessions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT support_sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX support_sessions_tenant_id_user_id_expires_at_idx
    ON app.support_sessions (tenant_id, user_id, expires_at);

-- Opened and closed, never rewritten.
GRANT SELECT, INSERT ON app.support_sessions TO ap_app;
GRANT UPDATE (closed_at) ON app.support_sessions TO ap_app;
GRANT SELECT ON app.support_sessions TO ap_platform;

ALTER TABLE app.support_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.support_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON app.support_sessions TO ap_app
    USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()));
CREATE POLICY platform_reads ON app.support_sessions FOR SELECT TO ap_platform
    USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()));

-- As privacy.sql says of every table of the tenants.
GRANT SELECT, DELETE ON app.support_sessions TO ap_eraser;
CREATE POLICY erased ON app.support_sessions TO ap_eraser USING (tenant_id = (SELECT app.tenant()));

-- A platform admin who looks at one tenant is bound to it, and then sees that tenant alone: a statement that forgot
-- its WHERE shows nothing of others to the platform either. Bound to nobody, the platform reads across tenants.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT p.tablename FROM pg_policies p
        JOIN pg_attribute a ON a.attrelid = format('app.%I', p.tablename)::regclass
            AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE p.schemaname = 'app' AND p.policyname = 'platform_reads'
    LOOP
        EXECUTE format(
            'ALTER POLICY platform_reads ON app.%I'
            ' USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()))', name);
    END LOOP;
END
$$;
ALTER POLICY platform_reads ON app.tenants USING ((SELECT app.tenant()) IS NULL OR id = (SELECT app.tenant()));
ALTER POLICY platform_reads ON app.users USING ((SELECT app.tenant()) IS NULL
    OR id IN (SELECT m.user_id FROM app.memberships m WHERE m.tenant_id = (SELECT app.tenant())));
