-- Row-level security. FORCE binds the owner too. The sub-selects make each binding a value computed once per
-- statement instead of once per row.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'api_keys', 'audit_checkpoints', 'audit_events', 'audit_heads', 'audit_keys', 'balances', 'decisions', 'equity',
        'event_heads', 'events', 'fills', 'fund_configs', 'funds', 'halts', 'jobs', 'ledger', 'memberships',
        'order_events', 'orders', 'positions', 'replays', 'sessions', 'tenants', 'users'
    ] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY platform_reads ON app.%I FOR SELECT TO ap_platform USING (true)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY[
        'api_keys', 'balances', 'decisions', 'equity', 'event_heads', 'events', 'fills', 'fund_configs', 'funds',
        'halts', 'ledger', 'memberships', 'order_events', 'orders', 'positions', 'replays', 'sessions'
    ] LOOP
        EXECUTE format(
            'CREATE POLICY tenant_rows ON app.%I TO ap_app'
            ' USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()))', name);
    END LOOP;
    -- A user's own keys and sessions: those of the platform always, those of a tenant while no tenant is bound.
    FOREACH name IN ARRAY ARRAY['api_keys', 'sessions'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON app.%I TO ap_app'
            ' USING (user_id = (SELECT app.bound_user()) AND (tenant_id IS NULL OR (SELECT app.tenant()) IS NULL))'
            ' WITH CHECK (user_id = (SELECT app.bound_user()) AND (tenant_id IS NULL OR ((SELECT app.tenant()) IS NULL'
            ' AND tenant_id IN (SELECT m.tenant_id FROM app.memberships m'
            ' WHERE m.user_id = (SELECT app.bound_user())))))', name);
    END LOOP;
END
$$;

-- Where the user belongs, asked before a tenant is chosen.
CREATE POLICY own_rows ON app.memberships FOR SELECT TO ap_app
    USING (user_id = (SELECT app.bound_user()) AND (SELECT app.tenant()) IS NULL);

CREATE POLICY tenant_itself ON app.tenants TO ap_app
    USING (id = (SELECT app.tenant())) WITH CHECK (id = (SELECT app.tenant()));
CREATE POLICY tenants_of_user ON app.tenants FOR SELECT TO ap_app
    USING ((SELECT app.tenant()) IS NULL
        AND id IN (SELECT m.tenant_id FROM app.memberships m WHERE m.user_id = (SELECT app.bound_user())));

CREATE POLICY user_itself ON app.users TO ap_app
    USING (id = (SELECT app.bound_user())) WITH CHECK (id = (SELECT app.bound_user()));
CREATE POLICY fellow_members ON app.users FOR SELECT TO ap_app
    USING (id IN (SELECT m.user_id FROM app.memberships m WHERE m.tenant_id = (SELECT app.tenant())));

-- A job of the platform is open to transactions bound to nobody, a tenant's to those bound to it.
CREATE POLICY tenant_rows ON app.jobs TO ap_app
    USING (tenant_id = (SELECT app.tenant()) OR (tenant_id IS NULL AND (SELECT app.tenant()) IS NULL))
    WITH CHECK (tenant_id = (SELECT app.tenant()) OR (tenant_id IS NULL AND (SELECT app.tenant()) IS NULL));

-- The look-ups see the columns they answer with, and those they search by.
CREATE POLICY looked_up ON app.users FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.api_keys FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.tenants FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.funds FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.replays FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.orders FOR SELECT TO ap_lookup USING (true);
GRANT SELECT (id, email) ON app.users TO ap_lookup;
GRANT SELECT (id, prefix, tenant_id, user_id) ON app.api_keys TO ap_lookup;
GRANT SELECT (id, slug, state) ON app.tenants TO ap_lookup;
GRANT SELECT (tenant_id, id, state, timeframe) ON app.funds TO ap_lookup;
GRANT SELECT (tenant_id, id, state) ON app.replays TO ap_lookup;
GRANT SELECT (tenant_id, fund_id, status) ON app.orders TO ap_lookup;
