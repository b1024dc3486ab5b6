-- Second factors, the tally of failed log-ins, keys that sign tokens; what sessions and API keys need besides.

-- generation: of the refresh token that is good now; an older one that comes back ends the session.
ALTER TABLE app.sessions
    ADD COLUMN generation INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ADD COLUMN address TEXT NOT NULL DEFAULT '',
    ADD COLUMN program TEXT NOT NULL DEFAULT '';
ALTER TABLE app.sessions
    ALTER COLUMN generation DROP DEFAULT,
    ALTER COLUMN seen_at DROP DEFAULT,
    ALTER COLUMN address DROP DEFAULT,
    ALTER COLUMN program DROP DEFAULT;

-- scopes null: all that the role grants. replaces: the key that this one was made to follow.
ALTER TABLE app.api_keys
    ADD COLUMN scopes TEXT[],
    ADD COLUMN last_used_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN replaces UUID;
GRANT SELECT (scopes, last_used_at, replaces) ON app.api_keys TO ap_platform;

CREATE TABLE app.second_factors (
    user_id UUID NOT NULL,
    sealed_secret BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    last_step BIGINT NOT NULL,
    recovery_hashes BYTEA[] NOT NULL,
    CONSTRAINT second_factors_pkey PRIMARY KEY (user_id),
    CONSTRAINT second_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.second_factors TO ap_app;
GRANT SELECT (user_id, created_at, confirmed_at) ON app.second_factors TO ap_platform;
ALTER TABLE app.second_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.second_factors FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON app.second_factors TO ap_app
    USING (user_id = (SELECT app.bound_user())) WITH CHECK (user_id = (SELECT app.bound_user()));
CREATE POLICY platform_reads ON app.second_factors FOR SELECT TO ap_platform USING (true);

-- subject: a hash of an address, an account, a pair of them or a device; asked before anybody is known.
CREATE TABLE app.login_failures (
    subject BYTEA NOT NULL,
    failures INTEGER NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT login_failures_pkey PRIMARY KEY (subject)
);
CREATE INDEX login_failures_last_at_idx ON app.login_failures (last_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.login_failures TO ap_app;

CREATE TABLE app.signing_keys (
    id TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    sealed_private_key BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    active_from TIMESTAMP WITH TIME ZONE NOT NULL,
    retires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.signing_keys TO ap_app;
