"""What the cache holds, and emptying it."""

from __future__ import annotations

import typer

from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.text import NONE
from alphapulse.domain.cache import CacheUsage

cache = group()


@cache.command("stats")
def stats(ctx: typer.Context) -> None:
    """Bytes and entries against the quota, and how often a look was a hit. Without a tenant: what all share."""
    run = invocation(ctx)
    found = run.client.cache.usage()
    run.output.record(found, _pairs(found), key=str(found.bytes))


@cache.command("flush")
def flush(ctx: typer.Context) -> None:
    """Drop every entry of the tenant. They are made again when they are asked for."""
    run = invocation(ctx)
    gone = run.client.cache.flush()
    run.output.record({"entries": gone}, [("dropped", f"{gone:,} entries")], key=str(gone))


def _pairs(found: CacheUsage) -> list[tuple[str, str]]:
    rate = NONE if found.hit_rate is None else f"{found.hit_rate:.1%}"
    return [
        ("entries", f"{found.entries:,}"),
        ("bytes", f"{found.bytes:,} of {found.quota:,}"),
        ("hits", f"{found.hits:,} of {found.hits + found.misses:,} ({rate})"),
        ("evicted", f"{found.evictions:,}"),
    ]
