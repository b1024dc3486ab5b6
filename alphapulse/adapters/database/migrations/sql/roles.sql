-- Run before every upgrade, by a login that may create roles and schemas. Safe to repeat, and safe beside another
-- database of the same server, which shares the roles.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('ap_owner', 'NOLOGIN'),     -- owns everything; migrations act as it
            ('ap_lookup', 'NOLOGIN'),    -- owns the look-ups that run before a tenant is known
            ('ap_audit', 'NOLOGIN'),     -- owns audit.append
            ('ap_retention', 'NOLOGIN'), -- owns the audit log's months: makes them, and drops the old ones
            ('ap_eraser', 'NOLOGIN'),    -- owns the functions that erase a tenant or a user for good
            ('ap_app', 'LOGIN'),         -- serves requests
            ('ap_platform', 'LOGIN')     -- reads across tenants
        ) AS roles (name, login)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I %s NOCREATEDB NOCREATEROLE INHERIT', wanted.name, wanted.login);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another upgrade on this server was faster
            END;
        END IF;
        IF wanted.login = 'NOLOGIN' AND NOT pg_has_role(current_user, wanted.name, 'SET') THEN
            EXECUTE format('GRANT %I TO %I', wanted.name, current_user);
        END IF;
    END LOOP;
    -- Functions, and the audit log, are handed to these by ap_owner.
    IF NOT pg_has_role('ap_owner', 'ap_lookup', 'SET') THEN
        GRANT ap_lookup TO ap_owner WITH INHERIT FALSE;
    END IF;
    IF NOT pg_has_role('ap_owner', 'ap_audit', 'SET') THEN
        GRANT ap_audit TO ap_owner WITH INHERIT FALSE;
    END IF;
    IF NOT pg_has_role('ap_owner', 'ap_retention', 'SET') THEN
        GRANT ap_retention TO ap_owner WITH INHERIT FALSE;
    END IF;
    IF NOT pg_has_role('ap_owner', 'ap_eraser', 'SET') THEN
        GRANT ap_eraser TO ap_owner WITH INHERIT FALSE;
    END IF;
END
$$;
CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION ap_owner;
CREATE SCHEMA IF NOT EXISTS audit AUTHORIZATION ap_owner;
CREATE SCHEMA IF NOT EXISTS queue AUTHORIZATION ap_owner;
