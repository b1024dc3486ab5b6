-- A password is the user's own. A tenant offers a membership by invitation, which the user accepts.
ALTER TABLE app.memberships DROP COLUMN password_hash;
ALTER TABLE app.users ADD COLUMN confirmed_at TIMESTAMP WITH TIME ZONE;

-- The same for slugs that may be mistaken for one another; domain/lookalikes.py says the same of ASCII.
CREATE FUNCTION app.looks(slug text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT replace(replace(translate(slug, '01', 'ol'), 'rn', 'm'), 'vv', 'w') $$;
CREATE UNIQUE INDEX tenants_looks_idx ON app.tenants (app.looks(slug));

CREATE TABLE app.invitations (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    by_mail BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT invitations_pkey PRIMARY KEY (id),
    CONSTRAINT invitations_token_hash_key UNIQUE (token_hash),
    CONSTRAINT invitations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX invitations_tenant_id_id_idx ON app.invitations (tenant_id, id);
-- One open invitation per address and tenant, also where two admins invite at the same time.
CREATE UNIQUE INDEX invitations_tenant_id_email_open_idx ON app.invitations (tenant_id, email)
    WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

CREATE TABLE app.account_links (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    purpose TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    by_mail BOOLEAN NOT NULL,
    request JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT account_links_pkey PRIMARY KEY (id),
    CONSTRAINT account_links_token_hash_key UNIQUE (token_hash),
    CONSTRAINT account_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);
CREATE INDEX account_links_user_id_purpose_idx ON app.account_links (user_id, purpose);

CREATE TABLE app.policy_acceptances (
    user_id UUID NOT NULL,
    version TEXT NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT policy_acceptances_pkey PRIMARY KEY (user_id, version),
    CONSTRAINT policy_acceptances_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['account_links', 'invitations', 'policy_acceptances'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['account_links', 'policy_acceptances'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON app.%I TO ap_app'
            ' USING (user_id = (SELECT app.bound_user())) WITH CHECK (user_id = (SELECT app.bound_user()))', name);
        EXECUTE format('CREATE POLICY platform_reads ON app.%I FOR SELECT TO ap_platform USING (true)', name);
    END LOOP;
END
$$;
CREATE POLICY tenant_rows ON app.invitations TO ap_app
    USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()));
CREATE POLICY platform_reads ON app.invitations FOR SELECT TO ap_platform
    USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()));

GRANT SELECT, INSERT, UPDATE, DELETE ON app.account_links, app.invitations TO ap_app;
GRANT SELECT, INSERT ON app.policy_acceptances TO ap_app;
-- A user who never finished a sign-up, or left their last tenant, is removed by a transaction bound to that user.
GRANT DELETE ON app.users TO ap_app;
GRANT SELECT (id, tenant_id, email, role, invited_by, by_mail, created_at, expires_at, accepted_at, withdrawn_at)
    ON app.invitations TO ap_platform;
GRANT SELECT (id, user_id, purpose, by_mail, created_at, expires_at, used_at) ON app.account_links TO ap_platform;
GRANT SELECT ON app.policy_acceptances TO ap_platform;
GRANT SELECT (confirmed_at) ON app.users TO ap_platform;

-- Whoever holds a token is nobody yet: what it opens is looked up by its hash.
CREATE FUNCTION app.invitation_by_token(wanted bytea) RETURNS TABLE (invitation_id uuid, tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT i.id, i.tenant_id FROM app.invitations i WHERE i.token_hash = wanted $$;

CREATE FUNCTION app.account_link_by_token(wanted bytea) RETURNS TABLE (link_id uuid, user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT l.id, l.user_id FROM app.account_links l WHERE l.token_hash = wanted $$;

-- Users who were never more than an address in a sign-up that expired.
CREATE FUNCTION app.forgotten_users(now_at timestamptz) RETURNS TABLE (user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT u.id FROM app.users u
        WHERE u.confirmed_at IS NULL AND NOT u.is_platform_admin
          AND EXISTS (SELECT FROM app.account_links l WHERE l.user_id = u.id)
          AND NOT EXISTS (SELECT FROM app.account_links l WHERE l.user_id = u.id AND l.expires_at > now_at)
          AND NOT EXISTS (SELECT FROM app.memberships m WHERE m.user_id = u.id)
        ORDER BY u.id LIMIT 1000
    $$;

GRANT CREATE ON SCHEMA app TO ap_lookup;
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'invitation_by_token(bytea)', 'account_link_by_token(bytea)', 'forgotten_users(timestamptz)'
    ] LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION app.' || signature || ' FROM PUBLIC';
        EXECUTE 'GRANT EXECUTE ON FUNCTION app.' || signature || ' TO ap_app';
        EXECUTE 'ALTER FUNCTION app.' || signature || ' OWNER TO ap_lookup';
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA app FROM ap_lookup;
CREATE POLICY looked_up ON app.invitations FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.account_links FOR SELECT TO ap_lookup USING (true);
CREATE POLICY looked_up ON app.memberships FOR SELECT TO ap_lookup USING (true);
GRANT SELECT (id, tenant_id, token_hash) ON app.invitations TO ap_lookup;
GRANT SELECT (id, user_id, token_hash, expires_at) ON app.account_links TO ap_lookup;
GRANT SELECT (user_id) ON app.memberships TO ap_lookup;
GRANT SELECT (confirmed_at, is_platform_admin) ON app.users TO ap_lookup;
