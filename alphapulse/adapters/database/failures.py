"""The driver's errors as ours."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg

from alphapulse.errors import AlphaPulseError, AlreadyExists, Defect, Forbidden, Misconfigured, StorageFull, Unavailable
from alphapulse.ports.database import WATCHING

_PASSING = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.TooManyConnections,
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
    pg.QueryCanceled,
    pg.IdleInTransactionSessionTimeout,
)


def translate(error: psycopg.Error) -> AlphaPulseError:
    """What the caller can do about it: come again, choose another name, make room, mend the settings, report our bug.

    The statement and its parameters are never part of the message: they may hold secrets.
    """
    detail = error.diag.message_primary or str(error).strip()
    if isinstance(error, pg.UniqueViolation):
        return AlreadyExists(f"already exists ({error.diag.constraint_name or error.diag.table_name})")
    if isinstance(error, pg.DiskFull):
        return StorageFull("the database has no room left", fix="Free space on the database's disk, then repeat.")
    if isinstance(error, pg.ReadOnlySqlTransaction) and WATCHING.get():
        return Forbidden(
            "the platform reads tenants and changes nothing", fix="Open support first: alphapulse support open TENANT."
        )
    if rejected(error):
        return Misconfigured(f"the database refuses the login: {detail}", fix="Check ALPHAPULSE_DATABASE_URL.")
    if isinstance(error, _PASSING) or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
        return unavailable(detail)
    return Defect(f"database: {detail} ({error.sqlstate or type(error).__name__})")


def rejected(error: psycopg.Error) -> bool:
    """Whether a server was reached and knows no such login or database; libpq gives no code for it, only text."""
    words = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")
    return (
        isinstance(error, psycopg.OperationalError) and error.sqlstate is None and any(w in str(error) for w in words)
    )


def unavailable(detail: str) -> Unavailable:
    return Unavailable(f"the database does not answer: {detail}", fix="Try again in a few seconds.")
