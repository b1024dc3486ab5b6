"""How a mail leaves the house."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from alphapulse.domain.mail import Mail


class Mailer(Protocol):
    """Hands a mail over. The same mail may come again after a crash: it carries the same Message-ID then.

    Raises Unavailable when it was not taken and may be taken later, Misconfigured when somebody must mend something
    first (the login, the certificate), Refused when this mail will never be taken.
    """

    async def send(self, mail: Mail) -> None: ...

    async def forget(self, mails: Sequence[UUID]) -> int:
        """Delete own copies of these mails; how many there were. Nothing where the adapter keeps none."""
        ...

    async def ping(self) -> None:
        """Raises as ``send`` does, unless a mail could be handed over now."""
        ...
