-- The audit log goes to the role that makes and drops its months: the last step, because from here on only that role
-- may change the table. A later migration does so between SET ROLE ap_retention and SET ROLE ap_owner.
GRANT CREATE ON SCHEMA app TO ap_retention;
ALTER TABLE app.audit_events OWNER TO ap_retention;
REVOKE CREATE ON SCHEMA app FROM ap_retention;
