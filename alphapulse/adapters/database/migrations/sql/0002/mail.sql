-- The outbox. A row is committed with what caused it; the delivery job finds it by app.due_mails.
CREATE TABLE app.mails (
    id UUID NOT NULL,
    tenant_id UUID,
    recipient TEXT NOT NULL,
    template TEXT NOT NULL,
    sealed_values BYTEA,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT mails_pkey PRIMARY KEY (id),
    CONSTRAINT mails_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE
);
CREATE INDEX mails_due_idx ON app.mails (next_attempt_at) WHERE state = 'queued';
CREATE INDEX mails_tenant_id_written_at_idx ON app.mails (tenant_id, written_at);
CREATE INDEX mails_recipient_idx ON app.mails (recipient);

GRANT SELECT, INSERT, UPDATE, DELETE ON app.mails TO ap_app;
-- Across tenants everything but what the mail says.
GRANT SELECT (id, tenant_id, recipient, template, state, attempts, error, written_at, next_attempt_at, sent_at)
    ON app.mails TO ap_platform;

ALTER TABLE app.mails ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.mails FORCE ROW LEVEL SECURITY;
CREATE POLICY platform_reads ON app.mails FOR SELECT TO ap_platform
    USING ((SELECT app.tenant()) IS NULL OR tenant_id = (SELECT app.tenant()));
-- A mail about no tenant is open to transactions bound to none.
CREATE POLICY tenant_rows ON app.mails TO ap_app
    USING (tenant_id = (SELECT app.tenant()) OR (tenant_id IS NULL AND (SELECT app.tenant()) IS NULL))
    WITH CHECK (tenant_id = (SELECT app.tenant()) OR (tenant_id IS NULL AND (SELECT app.tenant()) IS NULL));

CREATE POLICY looked_up ON app.mails FOR SELECT TO ap_lookup USING (true);
GRANT SELECT (id, tenant_id, state, next_attempt_at) ON app.mails TO ap_lookup;

-- Mails whose time has come, the longest waiting first.
CREATE FUNCTION app.due_mails(until timestamptz, most integer) RETURNS TABLE (tenant_id uuid, mail_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT m.tenant_id, m.id FROM app.mails m
        WHERE m.state = 'queued' AND m.next_attempt_at <= until
        ORDER BY m.next_attempt_at, m.id LIMIT most
    $$;
GRANT CREATE ON SCHEMA app TO ap_lookup;
REVOKE ALL ON FUNCTION app.due_mails(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.due_mails(timestamptz, integer) TO ap_app;
ALTER FUNCTION app.due_mails(timestamptz, integer) OWNER TO ap_lookup;
REVOKE CREATE ON SCHEMA app FROM ap_lookup;
