"""People who are invited and write passwords: the tenancy services on a real database, and the mails they cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.alerts.outbox import open_values
from alphapulse.clock import ManualClock
from alphapulse.domain.people import Invitation
from alphapulse.domain.tenancy import Member, Role
from alphapulse.sealing import Seal
from alphapulse.tenancy import members_store, store
from alphapulse.tenancy.members import Members
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.people import People, Post
from alphapulse.tenancy.policies import Policies

PASSWORD = "correct horse battery"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERSION = "2026-01-01"
ADMIN = "ann@acme.example"


@dataclass
class Town:
    """The services around one tenant, ``acme``, with its admin ADMIN. mails: whether links travel by mail only."""

    database: PostgresDatabase
    tenant_id: UUID
    clock: ManualClock
    seal: Seal
    mails: bool = True

    def __post_init__(self) -> None:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the real algorithm, sized for tests
        self.passwords = Passwords(2, hasher)
        self.policies = Policies({VERSION: "# Privacy\n\nNothing is sold."})
        self.post = Post(self.seal, "http://127.0.0.1:8470", shown=not self.mails)
        self.people = People(
            database=self.database,
            clock=self.clock,
            passwords=self.passwords,
            policies=self.policies,
            post=self.post,
        )
        self.members = Members(database=self.database, clock=self.clock)

    async def mailed(self, to: str) -> list[dict[str, Any]]:
        """What was written to an address, oldest first: template and values."""
        rows: list[dict[str, Any]] = []
        for scope in (self.database.transaction(self.tenant_id), self.database.shared()):
            async with scope as tx:
                rows += await tx.all(
                    "SELECT id, template, sealed_values, written_at FROM mails WHERE recipient = %(to)s", {"to": to}
                )
        rows.sort(key=lambda row: row["written_at"])
        return [
            {"template": row["template"], **open_values(self.seal, row["id"], row["sealed_values"])} for row in rows
        ]

    async def token(self, to: str) -> str:
        """The one in the newest mail to an address."""
        return (await self.mailed(to))[-1]["token"]

    async def invited(self, email: str, role: Role = Role.VIEWER, tenant_id: UUID | None = None) -> Invitation:
        return await self.people.invite(tenant_id or self.tenant_id, email, role.value, actor=ADMIN)

    async def accept(self, token: str, password: str | None = PASSWORD) -> Member:
        return await self.people.accept(token, password=password, policy_version=VERSION)

    async def joined(self, email: str, role: Role = Role.VIEWER) -> Member:
        """Invited to acme, and joined by what the mail said."""
        await self.invited(email, role)
        return await self.accept(await self.token(email))

    async def user(self, email: str) -> dict[str, Any] | None:
        """email, password_hash, is_platform_admin, confirmed_at; None for an unknown address."""
        async with self.database.shared() as tx:
            user_id, _ = await store.find(tx, email=email)
        if user_id is None:
            return None
        async with self.database.user(user_id) as tx:
            return await members_store.get_user(tx, user_id)

    async def opens(self, email: str, password: str) -> bool:
        """Whether the account has this password."""
        user = await self.user(email)
        return await self.passwords.matches(None if user is None else user["password_hash"], password)

    async def roles(self) -> dict[str, str]:
        """Of the members of acme."""
        return {member.email: member.role.value for member in await self.members.list_members(self.tenant_id)}
