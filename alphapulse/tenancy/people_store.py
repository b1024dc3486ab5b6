"""Rows of invitations, of the links that mails carry, and of accepted policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from alphapulse.domain.people import Invitation
from alphapulse.domain.tenancy import Role
from alphapulse.ports.database import Row, Transaction

# -- invitations: in a transaction bound to the tenant ---------------------------------------------------------------


async def find_invitation(tx: Transaction, token_hash: bytes) -> Row | None:
    """invitation_id and tenant_id; in any transaction."""
    return await tx.one("SELECT invitation_id, tenant_id FROM invitation_by_token(%(hash)s)", {"hash": token_hash})


async def insert_invitation(tx: Transaction, invitation: Invitation, token_hash: bytes, *, by_mail: bool) -> None:
    """Raises AlreadyExists when another one for the address is open."""
    await tx.run(
        "INSERT INTO invitations (id, tenant_id, email, role, invited_by, token_hash, by_mail, created_at, expires_at)"
        " VALUES (%(id)s, %(tenant_id)s, %(email)s, %(role)s, %(invited_by)s, %(token_hash)s, %(by_mail)s,"
        " %(created_at)s, %(expires_at)s)",
        {
            "id": invitation.id,
            "tenant_id": invitation.tenant_id,
            "email": invitation.email,
            "role": invitation.role.value,
            "invited_by": invitation.invited_by,
            "token_hash": token_hash,
            "by_mail": by_mail,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
        },
    )


async def get_invitation(tx: Transaction, invitation_id: UUID, *, lock: bool = False) -> Row | None:
    """The invitation's own columns, and slug, name and state of its tenant."""
    if lock:
        await tx.run("SELECT 1 FROM invitations WHERE id = %(id)s FOR UPDATE", {"id": invitation_id})
    return await tx.one(
        "SELECT i.id, i.tenant_id, i.email, i.role, i.invited_by, i.by_mail, i.created_at, i.expires_at,"
        " i.accepted_at, i.withdrawn_at, t.slug, t.name, t.state"
        " FROM invitations i JOIN tenants t ON t.id = i.tenant_id WHERE i.id = %(id)s",
        {"id": invitation_id},
    )


async def list_invitations(tx: Transaction, tenant_id: UUID) -> list[Invitation]:
    """Newest first, those that are over too."""
    rows = await tx.all(
        "SELECT id, tenant_id, email, role, invited_by, created_at, expires_at, accepted_at, withdrawn_at"
        " FROM invitations WHERE tenant_id = %(tenant_id)s ORDER BY created_at DESC, id LIMIT 1000",
        {"tenant_id": tenant_id},
    )
    return [invitation(row) for row in rows]


async def open_addresses(tx: Transaction, tenant_id: UUID, now: datetime) -> list[str]:
    """Addresses with an invitation that can still be accepted."""
    rows = await tx.all(
        "SELECT email FROM invitations WHERE tenant_id = %(tenant_id)s AND accepted_at IS NULL"
        " AND withdrawn_at IS NULL AND expires_at > %(now)s",
        {"tenant_id": tenant_id, "now": now},
    )
    return [row["email"] for row in rows]


async def withdraw_open(tx: Transaction, tenant_id: UUID, email: str, at: datetime) -> None:
    """Ends what is open for an address, if anything: its link is dead."""
    await tx.run(
        "UPDATE invitations SET withdrawn_at = %(at)s WHERE tenant_id = %(tenant_id)s AND email = %(email)s"
        " AND accepted_at IS NULL AND withdrawn_at IS NULL",
        {"tenant_id": tenant_id, "email": email, "at": at},
    )


async def mark_accepted(tx: Transaction, invitation_id: UUID, at: datetime) -> None:
    await tx.run("UPDATE invitations SET accepted_at = %(at)s WHERE id = %(id)s", {"id": invitation_id, "at": at})


# -- links and policies: in a transaction bound to the user ----------------------------------------------------------


async def find_link(tx: Transaction, token_hash: bytes) -> Row | None:
    """link_id and user_id; in any transaction."""
    return await tx.one("SELECT link_id, user_id FROM account_link_by_token(%(hash)s)", {"hash": token_hash})


async def insert_link(tx: Transaction, link: Mapping[str, Any]) -> None:
    """link: id, user_id, purpose, token_hash, by_mail, request, created_at, expires_at."""
    await tx.run(
        "INSERT INTO account_links (id, user_id, purpose, token_hash, by_mail, request, created_at, expires_at)"
        " VALUES (%(id)s, %(user_id)s, %(purpose)s, %(token_hash)s, %(by_mail)s, %(request)s::jsonb,"
        " %(created_at)s, %(expires_at)s)",
        {**link, "request": orjson.dumps(link["request"]).decode()},
    )


async def get_link(tx: Transaction, link_id: UUID, *, lock: bool = False) -> Row | None:
    """user_id, by_mail, request, expires_at and used_at. lock: nobody else uses it until the transaction ends."""
    if lock:
        await tx.run("SELECT 1 FROM account_links WHERE id = %(id)s FOR UPDATE", {"id": link_id})
    return await tx.one(
        "SELECT id, user_id, by_mail, request, expires_at, used_at FROM account_links WHERE id = %(id)s",
        {"id": link_id},
    )


async def newest_link(tx: Transaction, user_id: UUID, purpose: str) -> datetime | None:
    """When the user was last sent a link for this purpose that is not used."""
    row = await tx.one(
        "SELECT max(created_at) AS at FROM account_links"
        " WHERE user_id = %(user_id)s AND purpose = %(purpose)s AND used_at IS NULL",
        {"user_id": user_id, "purpose": purpose},
    )
    return None if row is None else row["at"]


async def use_links(tx: Transaction, user_id: UUID, purpose: str, at: datetime) -> None:
    """All of the user's links for this purpose are dead."""
    await tx.run(
        "UPDATE account_links SET used_at = %(at)s"
        " WHERE user_id = %(user_id)s AND purpose = %(purpose)s AND used_at IS NULL",
        {"user_id": user_id, "purpose": purpose, "at": at},
    )


async def forgotten_users(tx: Transaction, now: datetime) -> list[UUID]:
    """Users who belong nowhere, never proved their address, and have no link left to do so; at most 1000."""
    return [row["user_id"] for row in await tx.all("SELECT user_id FROM forgotten_users(%(now)s)", {"now": now})]


async def accept_policy(tx: Transaction, user_id: UUID, version: str, at: datetime) -> None:
    """Accepting again changes nothing."""
    await tx.run(
        "INSERT INTO policy_acceptances (user_id, version, accepted_at) VALUES (%(user_id)s, %(version)s, %(at)s)"
        " ON CONFLICT DO NOTHING",
        {"user_id": user_id, "version": version, "at": at},
    )


async def has_accepted(tx: Transaction, user_id: UUID, version: str) -> bool:
    row = await tx.one(
        "SELECT 1 AS one FROM policy_acceptances WHERE user_id = %(user_id)s AND version = %(version)s",
        {"user_id": user_id, "version": version},
    )
    return row is not None


def invitation(row: Row) -> Invitation:
    return Invitation(
        row["id"],
        row["tenant_id"],
        row["email"],
        Role(row["role"]),
        row["invited_by"],
        row["created_at"],
        row["expires_at"],
        row["accepted_at"],
        row["withdrawn_at"],
    )
