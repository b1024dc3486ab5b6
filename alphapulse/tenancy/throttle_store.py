"""Rows of the tally of failed log-ins. Its subjects are hashes: nobody is known yet when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from alphapulse.domain.throttle import WINDOW, Tally
from alphapulse.ports.database import Transaction


async def read(tx: Transaction, subjects: Sequence[bytes]) -> dict[bytes, Tally]:
    """What is known of those of which anything is."""
    rows = await tx.all(
        "SELECT subject, failures, last_at FROM login_failures WHERE subject = ANY (%(subjects)s)",
        {"subjects": list(subjects)},
    )
    return {bytes(row["subject"]): Tally(row["failures"], row["last_at"]) for row in rows}


async def add(tx: Transaction, subjects: Sequence[bytes], at: datetime) -> dict[bytes, int]:
    """One failure for each; how many each has by now. In the order of the subjects, so that nobody waits in a ring."""
    rows = await tx.all(
        "INSERT INTO login_failures (subject, failures, last_at)"
        " SELECT subject, 1, %(at)s FROM unnest(%(subjects)s::bytea[]) AS subject ORDER BY subject"
        " ON CONFLICT (subject) DO UPDATE SET last_at = %(at)s, failures ="
        " CASE WHEN login_failures.last_at <= %(since)s THEN 1 ELSE login_failures.failures + 1 END"
        " RETURNING subject, failures",
        {"subjects": list(subjects), "at": at, "since": at - WINDOW},
    )
    return {bytes(row["subject"]): row["failures"] for row in rows}


async def forget(tx: Transaction, subject: bytes) -> None:
    await tx.run("DELETE FROM login_failures WHERE subject = %(subject)s", {"subject": subject})


async def delete_old(tx: Transaction, older: timedelta) -> int:
    return await tx.run("DELETE FROM login_failures WHERE last_at < now() - %(older)s", {"older": older})
