-- The whole list of what may be asked before a tenant is known. They answer with ids and nothing else; what the
-- ids stand for is then read under row-level security.
CREATE FUNCTION app.user_by_email(wanted text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT id FROM app.users WHERE email = wanted $$;

CREATE FUNCTION app.api_key_by_prefix(wanted text) RETURNS TABLE (key_id uuid, tenant_id uuid, user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT k.id, k.tenant_id, k.user_id FROM app.api_keys k WHERE k.prefix = wanted $$;

CREATE FUNCTION app.tenant_by_slug(wanted text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT id FROM app.tenants WHERE slug = wanted $$;

CREATE FUNCTION app.tenants_ids() RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT id FROM app.tenants ORDER BY id $$;

-- Running funds of active tenants that decide on bars of this length.
CREATE FUNCTION app.due_funds(wanted text) RETURNS TABLE (tenant_id uuid, fund_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT f.tenant_id, f.id FROM app.funds f JOIN app.tenants t ON t.id = f.tenant_id
        WHERE f.state = 'running' AND f.timeframe = wanted AND t.state = 'active'
        ORDER BY f.tenant_id, f.id
    $$;

CREATE FUNCTION app.running_replays() RETURNS TABLE (tenant_id uuid, replay_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT r.tenant_id, r.id FROM app.replays r WHERE r.state = 'running' ORDER BY r.tenant_id, r.id $$;

CREATE FUNCTION app.funds_with_live_orders() RETURNS TABLE (tenant_id uuid, fund_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT DISTINCT o.tenant_id, o.fund_id FROM app.orders o
        WHERE o.status IN ('intended', 'unknown', 'open', 'partially_filled')
        ORDER BY o.tenant_id, o.fund_id
    $$;

-- The audit log keeps its keys by user.
GRANT EXECUTE ON FUNCTION app.user_by_email(text) TO ap_audit, ap_platform;

GRANT CREATE ON SCHEMA app TO ap_lookup;
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'user_by_email(text)', 'api_key_by_prefix(text)', 'tenant_by_slug(text)', 'tenants_ids()', 'due_funds(text)',
        'running_replays()', 'funds_with_live_orders()'
    ] LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION app.' || signature || ' FROM PUBLIC';
        EXECUTE 'GRANT EXECUTE ON FUNCTION app.' || signature || ' TO ap_app';
        EXECUTE 'ALTER FUNCTION app.' || signature || ' OWNER TO ap_lookup';
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA app FROM ap_lookup;
