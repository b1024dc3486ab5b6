"""The platform's own admins, who belong to no tenant."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from alphapulse.clock import Clock
from alphapulse.domain.tenancy import parse_person
from alphapulse.errors import AlreadyExists
from alphapulse.ports.database import Database
from alphapulse.tenancy import members_store, store
from alphapulse.tenancy.passwords import Passwords, parse_password
from alphapulse.tenancy.second_factors import SecondFactors


@dataclass(frozen=True, slots=True)
class NewAdmin:
    """Shown once. secret, uri: for their authenticator, which counts already. recovery_codes: for when it is lost."""

    user_id: UUID
    email: str
    secret: str
    uri: str
    recovery_codes: tuple[str, ...]


async def create_platform_admin(
    database: Database, clock: Clock, passwords: Passwords, second_factors: SecondFactors, *, email: str, password: str
) -> NewAdmin:
    """With password and second factor. Raises AlreadyExists for a known address, InvalidInput for a short password."""
    address = parse_person(email)
    hashed = await passwords.hash(parse_password(password))
    async with database.shared() as tx:
        known, _ = await store.find(tx, email=address)
    if known is not None:
        raise AlreadyExists(f"{address} is a user already", fix="Name an address of their own for the platform admin.")
    user_id = uuid4()
    async with database.user(user_id) as tx:
        await members_store.insert_user(
            tx, user_id, address, hashed, platform_admin=True, confirmed=True, at=clock.now()
        )
        enrolment, codes = await second_factors.grant(tx, user_id, address)
    return NewAdmin(user_id, address, enrolment.secret, enrolment.uri, codes.codes)
