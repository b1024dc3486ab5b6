-- Tables of the first release. Kept equal to alphapulse/tables by a test.

CREATE TABLE app.audit_checkpoints (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    month DATE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT audit_checkpoints_pkey PRIMARY KEY (tenant_id, sequence)
);

-- One partition per month, in the schema audit; audit.add_month makes them.
CREATE TABLE app.audit_events (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    month DATE NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    address TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    subject TEXT NOT NULL,
    changes TEXT NOT NULL,
    reason TEXT NOT NULL,
    support TEXT NOT NULL,
    count INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT audit_events_pkey PRIMARY KEY (tenant_id, sequence, month)
) PARTITION BY RANGE (month);
CREATE INDEX audit_events_tenant_id_at_idx ON app.audit_events (tenant_id, at);

CREATE TABLE app.audit_heads (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    month DATE NOT NULL,
    CONSTRAINT audit_heads_pkey PRIMARY KEY (tenant_id)
);

CREATE TABLE app.audit_keys (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    person TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT audit_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT audit_keys_tenant_id_person_key UNIQUE (tenant_id, person)
);

CREATE TABLE app.firings (
    job TEXT NOT NULL,
    slot TIMESTAMP WITH TIME ZONE NOT NULL,
    fired_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT firings_pkey PRIMARY KEY (job, slot)
);

CREATE TABLE app.job_controls (
    name TEXT NOT NULL,
    paused BOOLEAN NOT NULL,
    actor TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT job_controls_pkey PRIMARY KEY (name)
);

CREATE TABLE app.jobs (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    tenant_id UUID,
    arguments JSONB NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    queue_id BIGINT,
    CONSTRAINT jobs_pkey PRIMARY KEY (id)
);
CREATE INDEX jobs_state_queued_at_idx ON app.jobs (state, queued_at);
CREATE INDEX jobs_tenant_id_queued_at_idx ON app.jobs (tenant_id, queued_at);

CREATE TABLE app.platform_halts (
    id UUID NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lifted_at TIMESTAMP WITH TIME ZONE,
    lifted_by TEXT NOT NULL,
    CONSTRAINT platform_halts_pkey PRIMARY KEY (id)
);

CREATE TABLE app.signals (
    agent TEXT NOT NULL,
    parameters_key TEXT NOT NULL,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    conviction DOUBLE PRECISION,
    confidence DOUBLE PRECISION NOT NULL,
    rationale TEXT NOT NULL,
    numbers JSONB NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT signals_pkey PRIMARY KEY (agent, parameters_key, venue, symbol, timeframe, at)
);

CREATE TABLE app.tenants (
    id UUID NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    tier TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_slug_key UNIQUE (slug)
);

CREATE TABLE app.users (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT,
    is_platform_admin BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE app.api_keys (
    id UUID NOT NULL,
    tenant_id UUID,
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_prefix_key UNIQUE (prefix),
    CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE,
    CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);
CREATE INDEX api_keys_tenant_id_id_idx ON app.api_keys (tenant_id, id);

CREATE TABLE app.event_heads (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    CONSTRAINT event_heads_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT event_heads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.events (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload JSONB NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (tenant_id, sequence),
    CONSTRAINT events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.funds (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL,
    capital NUMERIC NOT NULL,
    config_version INTEGER NOT NULL,
    timeframe TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT funds_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT funds_tenant_id_name_key UNIQUE (tenant_id, name),
    CONSTRAINT funds_id_key UNIQUE (id),
    CONSTRAINT funds_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX funds_state_timeframe_idx ON app.funds (state, timeframe);

CREATE TABLE app.memberships (
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT memberships_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);
CREATE INDEX memberships_user_id_tenant_id_idx ON app.memberships (user_id, tenant_id);

CREATE TABLE app.sessions (
    id UUID NOT NULL,
    tenant_id UUID,
    user_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE,
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_tenant_id_id_idx ON app.sessions (tenant_id, id);
CREATE INDEX sessions_user_id_id_idx ON app.sessions (user_id, id);

CREATE TABLE app.balances (
    tenant_id UUID NOT NULL,
    fund_id UUID NOT NULL,
    asset TEXT NOT NULL,
    amount NUMERIC NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (tenant_id, fund_id, asset),
    CONSTRAINT balances_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT balances_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.decisions (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    fund_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    detail JSONB NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT decisions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT decisions_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT decisions_tenant_id_fund_id_at_key UNIQUE (tenant_id, fund_id, at),
    CONSTRAINT decisions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.equity (
    tenant_id UUID NOT NULL,
    fund_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    equity NUMERIC NOT NULL,
    cash NUMERIC NOT NULL,
    benchmark NUMERIC NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT equity_pkey PRIMARY KEY (tenant_id, fund_id, at),
    CONSTRAINT equity_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT equity_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.fund_configs (
    tenant_id UUID NOT NULL,
    fund_id UUID NOT NULL,
    version INTEGER NOT NULL,
    config JSONB NOT NULL,
    actor TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT fund_configs_pkey PRIMARY KEY (tenant_id, fund_id, version),
    CONSTRAINT fund_configs_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fund_configs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.halts (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    fund_id UUID,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lifted_at TIMESTAMP WITH TIME ZONE,
    lifted_by TEXT NOT NULL,
    CONSTRAINT halts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT halts_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT halts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.ledger (
    tenant_id UUID NOT NULL,
    entry_id UUID NOT NULL,
    line INTEGER NOT NULL,
    fund_id UUID NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount NUMERIC NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT ledger_pkey PRIMARY KEY (tenant_id, entry_id, line),
    CONSTRAINT ledger_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ledger_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX ledger_tenant_id_fund_id_at_idx ON app.ledger (tenant_id, fund_id, at);

CREATE TABLE app.orders (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    fund_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    client_order_id TEXT NOT NULL,
    decision_id UUID,
    leg TEXT NOT NULL,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    type TEXT NOT NULL,
    quantity NUMERIC NOT NULL,
    limit_price NUMERIC,
    timeframe TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    filled_quantity NUMERIC NOT NULL,
    average_price NUMERIC,
    venue_order_id TEXT,
    reason TEXT NOT NULL,
    checks JSONB NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT orders_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT orders_tenant_id_client_order_id_key UNIQUE (tenant_id, client_order_id),
    CONSTRAINT orders_tenant_id_fund_id_sequence_key UNIQUE (tenant_id, fund_id, sequence),
    CONSTRAINT orders_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX orders_live_idx ON app.orders (tenant_id, fund_id)
    WHERE status IN ('intended', 'unknown', 'open', 'partially_filled');
CREATE INDEX orders_tenant_id_decision_id_idx ON app.orders (tenant_id, decision_id);
CREATE INDEX orders_tenant_id_fund_id_at_idx ON app.orders (tenant_id, fund_id, at);
CREATE INDEX orders_tenant_id_fund_id_status_idx ON app.orders (tenant_id, fund_id, status);
CREATE INDEX orders_tenant_id_recorded_at_idx ON app.orders (tenant_id, recorded_at);

CREATE TABLE app.positions (
    tenant_id UUID NOT NULL,
    fund_id UUID NOT NULL,
    symbol TEXT NOT NULL,
    quantity NUMERIC NOT NULL,
    cost NUMERIC NOT NULL,
    realised NUMERIC NOT NULL,
    fees NUMERIC NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (tenant_id, fund_id, symbol),
    CONSTRAINT positions_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT positions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);

CREATE TABLE app.replays (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    fund_id UUID NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cursor TIMESTAMP WITH TIME ZONE,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT replays_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT replays_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX replays_state_idx ON app.replays (state);
CREATE INDEX replays_tenant_id_fund_id_idx ON app.replays (tenant_id, fund_id);

CREATE TABLE app.fills (
    tenant_id UUID NOT NULL,
    order_id UUID NOT NULL,
    venue_fill_id TEXT NOT NULL,
    fund_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    price NUMERIC NOT NULL,
    quantity NUMERIC NOT NULL,
    fee NUMERIC NOT NULL,
    fee_asset TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT fills_pkey PRIMARY KEY (tenant_id, order_id, venue_fill_id),
    CONSTRAINT fills_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fills_tenant_id_fund_id_fkey FOREIGN KEY (tenant_id, fund_id) REFERENCES app.funds (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fills_tenant_id_fund_id_sequence_key UNIQUE (tenant_id, fund_id, sequence),
    CONSTRAINT fills_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX fills_tenant_id_fund_id_at_idx ON app.fills (tenant_id, fund_id, at);
CREATE INDEX fills_tenant_id_recorded_at_idx ON app.fills (tenant_id, recorded_at);

CREATE TABLE app.order_events (
    tenant_id UUID NOT NULL,
    order_id UUID NOT NULL,
    sequence INTEGER NOT NULL,
    event TEXT NOT NULL,
    status_before TEXT NOT NULL,
    status_after TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT order_events_pkey PRIMARY KEY (tenant_id, order_id, sequence),
    CONSTRAINT order_events_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT order_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
