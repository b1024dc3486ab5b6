"""Firings and pauses. Both belong to the platform: transactions are bound to nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from alphapulse.ports.database import Transaction


async def newest_slot(tx: Transaction, period: timedelta, settle: timedelta) -> tuple[datetime, datetime]:
    """Start of the newest period that began at least ``settle`` ago, and the present, both by the database's clock."""
    row = await tx.one(
        """SELECT now() AS now, to_timestamp(
            floor(extract(epoch FROM now() - make_interval(secs => %(settle)s)) / %(period)s::numeric)
            * %(period)s::numeric
        ) AS slot""",
        {"period": int(period.total_seconds()), "settle": settle.total_seconds()},
    )
    assert row is not None
    return row["slot"], row["now"]


async def fire(tx: Transaction, job: str, slot: datetime) -> bool:
    """Take the slot for whoever calls first. False when it was taken, or when the job is paused."""
    taken = await tx.one(
        """INSERT INTO firings (job, slot, fired_at) SELECT %(job)s, %(slot)s, now()
        WHERE NOT EXISTS (SELECT FROM job_controls WHERE name = %(job)s AND paused)
        ON CONFLICT DO NOTHING RETURNING slot""",
        {"job": job, "slot": slot},
    )
    return taken is not None


async def fired_before(tx: Transaction, job: str, slot: datetime) -> bool:
    """Whether an earlier slot of the job was taken."""
    row = await tx.one(
        "SELECT 1 FROM firings WHERE job = %(job)s AND slot < %(slot)s LIMIT 1", {"job": job, "slot": slot}
    )
    return row is not None


async def set_paused(tx: Transaction, name: str, actor: str, *, paused: bool) -> None:
    await tx.run(
        """INSERT INTO job_controls (name, paused, actor, recorded_at) VALUES (%(name)s, %(paused)s, %(actor)s, now())
        ON CONFLICT (name) DO UPDATE SET paused = %(paused)s, actor = %(actor)s, recorded_at = now()""",
        {"name": name, "paused": paused, "actor": actor},
    )


async def paused_names(tx: Transaction) -> set[str]:
    return {row["name"] for row in await tx.all("SELECT name FROM job_controls WHERE paused")}


async def delete_firings(tx: Transaction, older_than: timedelta) -> int:
    """The newest firing of each job stays, however old: without it a start would fire its slot again."""
    return await tx.run(
        """DELETE FROM firings f WHERE fired_at < now() - make_interval(secs => %(age)s)
        AND EXISTS (SELECT FROM firings newer WHERE newer.job = f.job AND newer.slot > f.slot)""",
        {"age": older_than.total_seconds()},
    )


async def server_time(tx: Transaction) -> tuple[str, datetime]:
    """The server's version, and the time by its clock."""
    row = await tx.one("SELECT current_setting('server_version') AS server, clock_timestamp() AS now")
    assert row is not None
    return row["server"], row["now"]
