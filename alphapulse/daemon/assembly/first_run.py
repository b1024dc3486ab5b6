"""What an installation has from its first day: the master key and the first platform admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alphapulse.adapters.database import gate
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.clock import SystemClock
from alphapulse.sealing import Seal
from alphapulse.tenancy.admins import NewAdmin, create_platform_admin
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.second_factors import SecondFactors

if TYPE_CHECKING:
    from alphapulse.adapters.database.urls import DatabaseUrls
    from alphapulse.settings import Settings


def make_key(settings: Settings) -> None:
    """Unless there is one. Raises Misconfigured for a file that is no key, or that others may read."""
    Seal.from_file(settings.master_key)


async def make_admin(settings: Settings, urls: DatabaseUrls, email: str, password: str) -> NewAdmin:
    """With second factor. Raises AlreadyExists for a known address, InvalidInput for a password that is too short."""
    await gate.insist(urls.app)
    seal, clock = Seal.from_file(settings.master_key), SystemClock()
    database = await PostgresDatabase.open(urls.app, platform_url=urls.platform, seal=seal)
    try:
        second_factors = SecondFactors(database=database, clock=clock, seal=seal)
        passwords = Passwords(threads=settings.password_threads)
        return await create_platform_admin(database, clock, passwords, second_factors, email=email, password=password)
    finally:
        await database.close()
