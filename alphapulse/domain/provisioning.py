"""How a tenant comes to be: the steps in their order, and where each one stands."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from alphapulse.domain.lifecycle import TenantState
from alphapulse.errors import InvalidInput

#: Attempts of one step before the whole is rolled back; those that ended with their process count too.
MOST_ATTEMPTS = 5

_LONGEST_SLUG = 40


class StepName(StrEnum):
    """In the order in which they are done; undone in the opposite one."""

    TENANT = "tenant"
    LIMITS = "limits"
    SECRETS = "secrets"
    CACHE = "cache"
    BILLING = "billing"
    INVITATION = "invitation"
    CHECKS = "checks"
    WELCOME = "welcome"


class StepState(StrEnum):
    """failed: the last attempt was refused, and the whole is rolled back."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


class Direction(StrEnum):
    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class ProvisioningStep:
    """detail: what was made. error: of the last attempt; empty when it succeeded."""

    name: StepName
    state: StepState
    attempts: int
    detail: str
    error: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProvisioningStatus:
    """state: of the tenant. direction back: a step failed, and what was made is taken away again.

    finished_at: set when the tenant is active, or when everything was undone; then ``error`` says why.
    """

    tenant_id: UUID
    slug: str
    state: TenantState
    admin_email: str
    direction: Direction
    error: str
    started_at: datetime
    finished_at: datetime | None
    steps: tuple[ProvisioningStep, ...]


def slug_of(name: str) -> str:
    """``Acme Capital, Inc.`` becomes ``acme-capital-inc``. Raises InvalidInput when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_SLUG].strip("-")
    if len(slug) < 2:  # the shortest slug, see tenancy.parse_slug
        raise InvalidInput(f"name: {name[:60]!r} gives no slug", field="name", fix="Choose one with --slug.")
    return slug
