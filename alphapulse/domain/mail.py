"""Mails: what each kind of them says, and where one stands on its way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from alphapulse.errors import Defect, InvalidInput

LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
_ADDRESS = re.compile(r"[^\s@<>\"(),:;\\\[\]\x00-\x20\x7f]+@[^\s@<>\"(),:;\\\[\]\x00-\x20\x7f]+")


class MailTemplate(StrEnum):
    INVITATION = "invitation"
    CONFIRMATION = "confirmation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 -- the name of a letter
    WELCOME = "welcome"
    SUPPORT_OPENED = "support_opened"
    DELETION_SCHEDULED = "deletion_scheduled"
    ACCOUNT_DELETED = "account_deleted"
    EXPORT_READY = "export_ready"
    ACCOUNT_LOCKED = "account_locked"
    SUSPENDED = "suspended"


#: What each template says about its occasion. Times are written as they shall be read.
VALUES: Mapping[MailTemplate, frozenset[str]] = {
    MailTemplate.INVITATION: frozenset({"tenant", "role", "inviter", "token", "expires_at"}),
    MailTemplate.CONFIRMATION: frozenset({"token", "expires_at"}),
    MailTemplate.PASSWORD_RESET: frozenset({"token", "expires_at"}),
    MailTemplate.WELCOME: frozenset({"tenant", "slug", "tier"}),
    MailTemplate.SUPPORT_OPENED: frozenset({"tenant", "actor", "reason", "ticket", "until"}),
    MailTemplate.DELETION_SCHEDULED: frozenset({"tenant", "slug", "actor", "erased_at"}),
    MailTemplate.ACCOUNT_DELETED: frozenset({"tenant", "erased_at", "certificate"}),
    MailTemplate.EXPORT_READY: frozenset({"tenant", "export_id", "size", "expires_at"}),
    MailTemplate.ACCOUNT_LOCKED: frozenset({"address", "until"}),
    MailTemplate.SUSPENDED: frozenset({"tenant", "reason"}),
}

#: Pages that take a token, behind the public address. The token stands after "#": no server and no log sees it.
_PAGES: Mapping[MailTemplate, str] = {
    MailTemplate.INVITATION: "accept",
    MailTemplate.CONFIRMATION: "confirm",
    MailTemplate.PASSWORD_RESET: "reset",
}


class MailState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail ready to go. id: the same at every attempt. html: the same words for readers that show it; never alone."""

    id: UUID
    template: MailTemplate
    to: str
    subject: str
    text: str
    html: str
    written_at: datetime


def link_to(template: MailTemplate, public_url: str, token: str) -> str:
    """The address that a mail with this token leads to. Raises Defect for a template without one."""
    if template not in _PAGES:
        raise Defect(f"the template {template} has no link")
    return f"{public_url.rstrip('/')}/{_PAGES[template]}#{token}"


def has_link(template: MailTemplate) -> bool:
    return template in _PAGES


def insist_address(to: str) -> str:
    """``to`` itself. Raises InvalidInput unless it can stand in a mail's header."""
    if len(to) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(to):
        raise InvalidInput("email: not a mail address", field="email", fix="Write it as name@example.com.")
    return to


def insist_values(template: str, values: Mapping[str, str]) -> MailTemplate:
    """The template. Raises Defect unless exactly its values are given, so that it fails where the mail is caused."""
    try:
        kind = MailTemplate(template)
    except ValueError as error:
        raise Defect(f"no mail template {template!r}") from error
    wrong = VALUES[kind] ^ values.keys()
    if wrong:
        raise Defect(f"the mail template {kind} has other values: {', '.join(sorted(wrong))}")
    return kind
