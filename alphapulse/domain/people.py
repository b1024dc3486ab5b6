"""People before and around a membership: invitations, the links that mails carry, the privacy policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alphapulse.domain.permissions import Role


@dataclass(frozen=True, slots=True)
class Invitation:
    """A membership that is offered to an address, once, until ``expires_at``.

    invited_by: the actor. accepted_at, withdrawn_at: at most one of them is set, and then it is over.
    link: only where no mail leaves the daemon, and only in the answer that made it.
    """

    id: UUID
    tenant_id: UUID
    email: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What the holder of an invitation's token is shown before they accept. tenant: slug; name: the tenant's.

    has_account: the address has a password already, which is then to be proved instead of chosen.
    policy_version: the privacy policy that accepting accepts; its text is at ``GET /policy``.
    """

    email: str
    tenant: str
    name: str
    role: Role
    invited_by: str
    expires_at: datetime
    has_account: bool
    policy_version: str


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the privacy policy. version: as in its file's name. text: Markdown. current: the newest one."""

    version: str
    text: str
    current: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What was asked for is on its way, if there was anybody to send it to. link: see ``Invitation``."""

    sent: bool = True
    link: str | None = None
