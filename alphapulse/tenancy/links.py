"""The tokens that mails carry: a word for what they open, then 32 random bytes. Only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from alphapulse.errors import InvalidInput, NotFound

_TOKEN = re.compile(r"([a-z]{3})_([A-Za-z0-9_-]{43})")


class Opens(StrEnum):
    """What a token is for; stands at its front, so that one pasted at the wrong place is told apart."""

    INVITATION = "inv"
    CONFIRMATION = "cnf"
    RESET = "rst"
    SIGNUP = "sgn"


@dataclass(frozen=True, slots=True)
class LinkToken:
    """``str()`` of it is the secret: it belongs into a sealed mail and nowhere else."""

    opens: Opens
    secret: str

    def __str__(self) -> str:
        return f"{self.opens.value}_{self.secret}"

    def __repr__(self) -> str:
        return f"LinkToken({self.opens.value}_...)"

    def hash(self) -> bytes:
        """SHA-256 of 32 random bytes: there is nothing to guess, so no slow hash and no look at the time it takes."""
        return hashlib.sha256(str(self).encode()).digest()


def new_token(opens: Opens) -> LinkToken:
    return LinkToken(opens, secrets.token_urlsafe(32))


def parse_token(text: str, *opens: Opens) -> LinkToken:
    """Raises InvalidInput for a token of another kind, NotFound for text that is no token."""
    found = _TOKEN.fullmatch(text.strip())
    known = found and next((kind for kind in Opens if kind.value == found[1]), None)
    if not found or known is None:
        raise NotFound("this is not a link of ours", fix="Copy the whole token from the mail.")
    if known not in opens:
        raise InvalidInput(
            f"token: this one is for {known.name.lower()}", field="token", fix="Use it with the command its mail names."
        )
    return LinkToken(known, found[2])
