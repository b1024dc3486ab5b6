"""A mail as RFC 5322 writes it."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from alphapulse.domain.mail import Mail
from alphapulse.errors import Defect

_AUTOMATIC = "auto-generated"  # RFC 3834: no out-of-office reply, please


def written(mail: Mail, sender: str) -> EmailMessage:
    """The same mail is the same message, whenever it is sent: mailboxes drop the second copy by its Message-ID.

    Raises Defect for words that no message can hold; it says nothing of them, for they may be a link.
    """
    try:
        return _written(mail, sender)
    except (ValueError, LookupError) as error:
        raise Defect(f"mail {mail.id} cannot be written as a message ({type(error).__name__})") from None


def _written(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.written_at)
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2].strip('> ') or 'localhost'}>"
    message["Auto-Submitted"] = _AUTOMATIC
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message.as_bytes()  # only now it is known that every header and word can be encoded
    return message
