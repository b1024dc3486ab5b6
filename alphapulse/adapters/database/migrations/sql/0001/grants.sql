-- What the two logins may do at all; policies.sql says to which rows. Nobody may TRUNCATE.
GRANT USAGE ON SCHEMA app, audit, queue TO ap_app;
GRANT USAGE ON SCHEMA app, queue TO ap_platform;
GRANT USAGE ON SCHEMA app TO ap_lookup, ap_audit;

GRANT SELECT ON ALL TABLES IN SCHEMA app TO ap_app;

-- What happened is never rewritten.
GRANT INSERT ON app.decisions, app.events, app.fills, app.fund_configs, app.ledger, app.order_events TO ap_app;
GRANT INSERT, UPDATE ON
    app.equity, app.event_heads, app.funds, app.halts, app.job_controls, app.orders, app.platform_halts,
    app.replays, app.tenants, app.users
    TO ap_app;
GRANT INSERT, UPDATE, DELETE ON
    app.api_keys, app.balances, app.firings, app.jobs, app.memberships, app.positions, app.sessions, app.signals
    TO ap_app;

-- Across tenants everything but secrets may be read.
GRANT SELECT ON ALL TABLES IN SCHEMA app TO ap_platform;
REVOKE SELECT ON app.api_keys, app.memberships, app.users FROM ap_platform;
GRANT SELECT (id, tenant_id, user_id, name, prefix, role, created_at, expires_at, revoked_at)
    ON app.api_keys TO ap_platform;
GRANT SELECT (tenant_id, user_id, role, created_at) ON app.memberships TO ap_platform;
GRANT SELECT (id, email, is_platform_admin, created_at) ON app.users TO ap_platform;

-- The queue has no tenants: its arguments hold ids only.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA queue TO ap_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA queue TO ap_app;
GRANT SELECT ON ALL TABLES IN SCHEMA queue TO ap_platform;
