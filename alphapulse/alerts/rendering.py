"""Mails from templates: ``<name>.txt.j2``, whose first line is the subject, and ``<name>.html.j2`` saying the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError, select_autoescape

from alphapulse.domain.mail import Mail, MailTemplate, has_link, link_to
from alphapulse.errors import Defect

_SUBJECT = "Subject: "


class Letters:
    """Writes mails. public_url: where people reach this daemon, for the links."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url
        self._environment = Environment(
            loader=PackageLoader("alphapulse.alerts"),
            autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
        )

    def write(
        self, template: MailTemplate, values: Mapping[str, str], *, mail_id: UUID, to: str, written_at: datetime
    ) -> Mail:
        """values: the template's own (domain/mail.VALUES).

        Raises Defect, without the values, where a template is not there, or names a value that is not.
        """
        try:
            return self._write(template, values, mail_id=mail_id, to=to, written_at=written_at)
        except (TemplateError, KeyError) as error:
            raise Defect(f"mail {mail_id}: template {template} fails ({type(error).__name__})") from None

    def _write(
        self, template: MailTemplate, values: Mapping[str, str], *, mail_id: UUID, to: str, written_at: datetime
    ) -> Mail:
        words = {**values, "public_url": self._public_url}
        if has_link(template):
            words["link"] = link_to(template, self._public_url, values["token"])
        whole = self._environment.get_template(f"{template.value}.txt.j2").render(words)
        # A value may bring line breaks along; the subject is the first line of the template, not of its values.
        first, _, text = whole.partition("\n\n")
        subject = " ".join(first.removeprefix(_SUBJECT).split())
        html = self._environment.get_template(f"{template.value}.html.j2").render({**words, "subject": subject})
        return Mail(id=mail_id, template=template, to=to, subject=subject, text=text, html=html, written_at=written_at)
