"""Proof from the catalogue that row-level security holds for the login we serve with.

The daemon refuses to start when this finds anything; ``doctor`` prints it.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg

from alphapulse.adapters.database.failures import translate
from alphapulse.errors import Misconfigured

#: Everything that runs with more rights than its caller. A function missing here is a finding.
DEFINER_FUNCTIONS = frozenset(
    {
        "app.user_by_email",
        "app.api_key_by_prefix",
        "app.tenant_by_slug",
        "app.tenants_ids",
        "app.due_funds",
        "app.tenants_in",
        "app.running_replays",
        "app.funds_with_live_orders",
        "app.invitation_by_token",
        "app.account_link_by_token",
        "app.forgotten_users",
        "app.due_mails",
        "app.exports_over",
        "app.erase_rows",
        "app.erase_tenant",
        "app.erase_user",
        "audit.append",
        "audit.keys_of",
        "audit.forget",
        "audit.forget_chain",
        "audit.add_month",
        "audit.checkpoint",
        "audit.drop_months",
    }
)

#: Tables of tenants and of users: those with a tenant_id or a user_id, and the two that are guarded by their own id.
_GUARDED = """
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'queue')
      AND (EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attname IN ('tenant_id', 'user_id') AND NOT a.attisdropped)
           OR (n.nspname = 'app' AND c.relname IN ('tenants', 'users')))
"""

_CHECKS: tuple[LiteralString, ...] = (
    # Who we are, and whom we could become.
    """
    SELECT format('the role %s is %s', r.rolname,
                  CASE WHEN r.rolsuper THEN 'a superuser' ELSE 'above row-level security' END)
    FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER') AND (r.rolsuper OR r.rolbypassrls)
    """,
    """
    SELECT DISTINCT format('the login %s acts for %s, who owns the table %s', current_user, r.rolname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
    WHERE n.nspname IN ('app', 'queue') AND c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'MEMBER')
    """,
    """
    SELECT format('the login may create objects in the schema %s', n.nspname)
    FROM pg_namespace n
    WHERE n.nspname IN ('app', 'audit', 'queue') AND has_schema_privilege(n.oid, 'CREATE')
    """,
    # The tables.
    f"""
    SELECT format('%s: row-level security is %s', g.relname,
                  CASE WHEN c.relrowsecurity THEN 'not forced on the owner' ELSE 'off' END)
    FROM ({_GUARDED}) g JOIN pg_class c USING (oid) WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
    """,
    f"""
    SELECT format('%s: the login may TRUNCATE it, which no policy restrains', g.relname)
    FROM ({_GUARDED}) g WHERE has_table_privilege(g.oid, 'TRUNCATE')
    """,
    f"""
    SELECT format('%s: no policy for %s, which is granted', g.relname, command.name)
    FROM ({_GUARDED}) g
    CROSS JOIN (VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) AS command (name, code)
    WHERE has_table_privilege(g.oid, command.name) AND NOT EXISTS (
        SELECT FROM pg_policy p WHERE p.polrelid = g.oid AND p.polcmd::text IN ('*', command.code)
          AND (0 = ANY (p.polroles) OR EXISTS (
              SELECT FROM unnest(p.polroles) AS role WHERE role <> 0 AND pg_has_role(current_user, role, 'MEMBER'))))
    """,
    # A permissive policy that applies to us and asks for no binding opens the table to every tenant.
    f"""
    SELECT format('%s: the policy %s does not ask for a tenant', g.relname, p.polname)
    FROM ({_GUARDED}) g JOIN pg_policy p ON p.polrelid = g.oid
    WHERE p.polpermissive
      AND (0 = ANY (p.polroles) OR EXISTS (
          SELECT FROM unnest(p.polroles) AS role WHERE role <> 0 AND pg_has_role(current_user, role, 'MEMBER')))
      AND ((p.polqual IS NOT NULL AND pg_get_expr(p.polqual, p.polrelid) !~ '(tenant|bound_user)\\(\\)')
        OR (p.polwithcheck IS NOT NULL AND pg_get_expr(p.polwithcheck, p.polrelid) !~ '(tenant|bound_user)\\(\\)'))
    """,
    # What would carry rows round the policies.
    """
    SELECT format('the view %s.%s reads with its owner''s rights', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      AND NOT coalesce(c.reloptions::text[] && ARRAY['security_invoker=true', 'security_invoker=on'], false)
    """,
    """
    SELECT format('%s: the foreign key %s leaves tenant_id out', c.conrelid::regclass, c.conname)
    FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attname = 'tenant_id' AND NOT b.attisdropped
    WHERE c.contype = 'f' AND NOT EXISTS (
        SELECT FROM unnest(c.conkey, c.confkey) AS pair (here, there) WHERE here = a.attnum AND there = b.attnum)
    """,
)

_DEFINERS = """
    SELECT n.nspname || '.' || f.proname, r.rolname, r.rolsuper OR r.rolbypassrls
    FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace JOIN pg_roles r ON r.oid = f.proowner
    WHERE f.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(f.oid, 'EXECUTE')
"""


async def findings(url: str) -> list[str]:
    """What is wrong with the database as seen by the application's login; empty when nothing is.

    Raises Unavailable when it does not answer.
    """
    found: list[str] = []
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
            for check in _CHECKS:
                found += [str(row[0]) for row in await (await connection.execute(check)).fetchall()]
            for name, owner, above in await (await connection.execute(_DEFINERS)).fetchall():
                if name not in DEFINER_FUNCTIONS:
                    found.append(f"the function {name} runs with the rights of {owner} and is not on the list")
                elif above:
                    found.append(f"the function {name} belongs to {owner}, who is above row-level security")
    except psycopg.Error as error:
        raise translate(error) from error
    return found


async def insist(url: str) -> None:
    """Raises Misconfigured unless ``findings`` is empty."""
    found = await findings(url)
    if found:
        raise Misconfigured(
            f"tenants are not kept apart in this database: {'; '.join(found)}",
            fix="Connect as ap_app (ALPHAPULSE_DATABASE_URL), and run: alphapulse db upgrade",
        )
