"""The mail adapter that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alphapulse.ports.mail import Mailer

if TYPE_CHECKING:
    from alphapulse.settings import Settings

_SENDER = "alphapulse@localhost"


def open_mailer(settings: Settings) -> Mailer:
    """Raises Misconfigured when ``smtp.authorities`` holds no certificates."""
    match settings.mail:
        case "smtp":
            from alphapulse.adapters.mail.smtp import SmtpMail, SmtpServer  # noqa: PLC0415 -- only if chosen

            rules = settings.smtp
            server = SmtpServer(
                host=rules.host,
                port=rules.port,
                security=rules.security,
                username=rules.username,
                password=rules.password.get_secret_value() if rules.password is not None else None,
                authorities=rules.authorities,
                timeout_s=rules.timeout.total_seconds(),
            )
            return SmtpMail(server, sender=rules.sender)
        case "console":
            from alphapulse.adapters.mail.console import ConsoleMail  # noqa: PLC0415 -- only if chosen

            return ConsoleMail(settings.data_directory / "mail", sender=settings.smtp.sender or _SENDER)


def shows_links(settings: Settings) -> bool:
    """Whether answers carry the links that mails carry: only where nobody could deliver them otherwise."""
    return settings.mail == "console" and settings.profile != "production"
