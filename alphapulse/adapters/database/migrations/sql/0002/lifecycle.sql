-- The life of a tenant: where it stands and why, how it was provisioned, what it may use and what it used.
ALTER TABLE app.tenants
    ADD COLUMN state_reason TEXT,
    ADD COLUMN state_changed_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN left_state TEXT,
    ADD COLUMN purge_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN trial_ends_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN billing_reference TEXT,
    ADD COLUMN overage_cap NUMERIC;
CREATE INDEX tenants_state_idx ON app.tenants (state);

CREATE TABLE app.provisionings (
    tenant_id UUID NOT NULL,
    admin_email TEXT NOT NULL,
    admin_id UUID,
    direction TEXT NOT NULL,
    error TEXT NOT NULL,
    actor TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT provisionings_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT provisionings_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.provisioning_steps (
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    detail TEXT NOT NULL,
    error TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT provisioning_steps_pkey PRIMARY KEY (tenant_id, name),
    CONSTRAINT provisioning_steps_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.tenant_overrides (
    tenant_id UUID NOT NULL,
    "limit" TEXT NOT NULL,
    value BIGINT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT tenant_overrides_pkey PRIMARY KEY (tenant_id, "limit"),
    CONSTRAINT tenant_overrides_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.plan_usage (
    tenant_id UUID NOT NULL,
    "limit" TEXT NOT NULL,
    day TIMESTAMP WITH TIME ZONE NOT NULL,
    quantity BIGINT NOT NULL,
    overage BIGINT NOT NULL,
    amount NUMERIC NOT NULL,
    CONSTRAINT plan_usage_pkey PRIMARY KEY (tenant_id, "limit", day),
    CONSTRAINT plan_usage_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

GRANT SELECT, INSERT, UPDATE ON app.provisionings, app.provisioning_steps, app.plan_usage TO ap_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.tenant_overrides TO ap_app;
GRANT SELECT ON app.provisionings, app.provisioning_steps, app.plan_usage, app.tenant_overrides TO ap_platform;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['plan_usage', 'provisioning_steps', 'provisionings', 'tenant_overrides'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_rows ON app.%I TO ap_app'
            ' USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()))', name);
        EXECUTE format(
            'CREATE POLICY platform_reads ON app.%I FOR SELECT TO ap_platform'
            ' USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()))', name);
    END LOOP;
END
$$;

GRANT CREATE ON SCHEMA app TO ap_lookup;
SET LOCAL ROLE ap_lookup;
-- Funds of tenants that trade: an open invoice alone does not stop them.
CREATE OR REPLACE FUNCTION app.due_funds(wanted text) RETURNS TABLE (tenant_id uuid, fund_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT f.tenant_id, f.id FROM app.funds f JOIN app.tenants t ON t.id = f.tenant_id
        WHERE f.state = 'running' AND f.timeframe = wanted AND t.state IN ('active', 'past_due')
        ORDER BY f.tenant_id, f.id
    $$;

-- Tenants that are being provisioned, or deleted and to be purged.
CREATE FUNCTION app.tenants_in(wanted text) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT t.id FROM app.tenants t WHERE t.state = wanted ORDER BY t.id $$;
REVOKE ALL ON FUNCTION app.tenants_in(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenants_in(text) TO ap_app;
SET LOCAL ROLE ap_owner;
REVOKE CREATE ON SCHEMA app FROM ap_lookup;
