"""The services around people: who is invited, who belongs where, and their own accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alphapulse.clock import Clock
from alphapulse.packaged import packaged_config
from alphapulse.ports.database import Database
from alphapulse.sealing import Seal
from alphapulse.tenancy.accounts import Accounts
from alphapulse.tenancy.members import Members
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.people import People, Post
from alphapulse.tenancy.policies import Policies
from alphapulse.tenancy.provisioning import Provisioning

if TYPE_CHECKING:
    from alphapulse.settings import Settings


def open_policies(settings: Settings) -> Policies:
    """Raises Misconfigured when the folder holds no privacy policy."""
    return Policies.from_directory(settings.policy_directory or packaged_config() / "policies")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRooms:
    """What ``build_people`` made."""

    people: People
    members: Members
    policies: Policies
    passwords: Passwords
    post: Post


def build_people(
    settings: Settings, *, database: Database, clock: Clock, passwords: Passwords, policies: Policies, seal: Seal
) -> PeopleRooms:
    """Links stand in answers only where no mail leaves the daemon and it is not a production one."""
    shown = settings.mail == "console" and settings.profile != "production"
    post = Post(seal, settings.public_url, shown)
    return PeopleRooms(
        people=People(database=database, clock=clock, passwords=passwords, policies=policies, post=post),
        members=Members(database=database, clock=clock),
        policies=policies,
        passwords=passwords,
        post=post,
    )


def build_accounts(
    settings: Settings, rooms: PeopleRooms, *, database: Database, clock: Clock, provisioning: Provisioning
) -> Accounts:
    """Apart, because a sign-up ends in a provisioning, and a provisioning invites people."""
    return Accounts(
        database=database,
        clock=clock,
        passwords=rooms.passwords,
        policies=rooms.policies,
        post=rooms.post,
        people=rooms.people,
        provisioning=provisioning,
        signup_open=settings.signup,
    )
