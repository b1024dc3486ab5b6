"""The outbox: a mail is a row, committed with its cause and delivered later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from alphapulse.alerts import store
from alphapulse.domain.mail import insist_address, insist_values
from alphapulse.ports.database import Transaction
from alphapulse.sealing import Seal

#: Namespace of the mails that are about no tenant.
_NOBODY = UUID("5b8f2c0e-6c1e-4a7b-9d55-0c6a3f4e7d21")


async def enqueue_mail(
    tx: Transaction,
    seal: Seal,
    *,
    tenant_id: UUID | None,
    to: str,
    template: str,
    values: Mapping[str, str],
    at: datetime,
    key: str,
) -> UUID:
    """The mail goes once ``tx`` is committed, and never when it is rolled back.

    tenant_id: whom the mail is about, which must be the tenant that ``tx`` is bound to. values: what the template
    wants (domain/mail.VALUES); they may hold link tokens, and are stored sealed until the mail is sent. key: the same
    key of the same tenant is the same mail, which is sent once. at: the present.

    Raises InvalidInput for an address that is none, Defect for other values than the template's.
    """
    kind = insist_values(template, values)
    mail_id = uuid5(tenant_id or _NOBODY, key)
    sealed = seal.seal(json.dumps(dict(values)).encode(), _context(mail_id))
    await store.insert(
        tx,
        mail_id,
        tenant_id=tenant_id,
        recipient=insist_address(to),
        template=kind.value,
        sealed_values=sealed,
        at=at,
    )
    return mail_id


def open_values(seal: Seal, mail_id: UUID, sealed: bytes) -> dict[str, str]:
    """Raises Misconfigured when another key sealed them."""
    return json.loads(seal.open(sealed, _context(mail_id)))


def _context(mail_id: UUID) -> str:
    return f"mail:{mail_id}"
