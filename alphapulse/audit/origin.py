"""What the audit log wants to know of the request that is being served, wherever in it something is changed."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from alphapulse.domain.tenancy import Caller


class Origin(Protocol):
    """caller: None until somebody was admitted."""

    request_id: str
    caller: Caller | None


#: Set by the daemon around each request; empty in jobs and on the command line of the machine.
ORIGIN: ContextVar[Origin | None] = ContextVar("alphapulse_origin", default=None)
