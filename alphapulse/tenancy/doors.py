"""What somebody gives to log in, whoever that may be, and which tenants the log-in may be for."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from alphapulse.domain.access import Session
from alphapulse.domain.permissions import Role
from alphapulse.errors import InvalidInput
from alphapulse.ports.database import Row
from alphapulse.tenancy.tokens import Claims


@dataclass(frozen=True, slots=True)
class LogIn:
    """What somebody gives to log in. tenant: slug. code: of the authenticator, or a recovery code.

    device: token of an earlier log-in. policy_version: the privacy policy they accept. address, program: where from.
    """

    email: str
    password: str = field(repr=False)
    tenant: str | None = None
    code: str | None = field(default=None, repr=False)
    device: str = field(default="", repr=False)
    policy_version: str | None = None
    address: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """What a log-in may be for. tenant_id and slug None: the platform."""

    tenant_id: UUID | None
    slug: str | None
    role: Role


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever an address may be: nobody has a user of None. factor: their second one, confirmed."""

    user_id: UUID
    user: Row | None
    doors: tuple[Door, ...]
    factor: Row | None

    @property
    def password_hash(self) -> str | None:
        return None if self.user is None else self.user["password_hash"]


def doors_of(user: Row | None, memberships: list[Row], tenant: str | None) -> tuple[Door, ...]:
    if user is not None and user["is_platform_admin"] and tenant is None:
        return (Door(None, None, Role.PLATFORM_ADMIN),)
    named = [row for row in memberships if tenant in {None, row["slug"]}]
    return tuple(Door(row["tenant_id"], row["slug"], Role(row["role"])) for row in named)


def only(doors: tuple[Door, ...]) -> Door:
    if len(doors) > 1:
        slugs = ", ".join(door.slug or "" for door in doors)
        raise InvalidInput("you belong to several tenants", field="tenant", fix=f"Name one of {slugs}.")
    return next(iter(doors))


def new_session(claims: Claims, door: Door, given: LogIn) -> Session:
    program = "".join(letter for letter in given.program if letter.isprintable())[:200]
    return Session(
        id=claims.session_id,
        tenant_id=claims.tenant_id,
        user_id=claims.user_id,
        email=given.email,
        slug=door.slug,
        created_at=claims.issued_at,
        expires_at=claims.expires_at,
        seen_at=claims.issued_at,
        address=given.address,
        program=program,
    )
