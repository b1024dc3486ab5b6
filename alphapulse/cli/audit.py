"""Who did what: the audit log, its export, and the proof that nobody changed it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import time
from alphapulse.domain.audit import AuditKind, ChainedEvent, parse_heads
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.domain.wire import parse_time
from alphapulse.errors import DriftFound, InvalidInput, NotFound

if TYPE_CHECKING:
    from alphapulse.cli.invocation import Invocation
    from alphapulse.domain.audit import ChainVerdict

audit = group()

Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="ISO 8601 in UTC.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="ISO 8601 in UTC.")]


class ExportForm(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


@audit.command("list")
def list_audit(
    ctx: typer.Context,
    actor: Annotated[str | None, typer.Option("--actor", metavar="EMAIL|key:PREFIX")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="ACTION", help="For example trades.place.")] = None,
    since: Since = None,
    until: Until = None,
    support: Annotated[
        bool, typer.Option("--support", help="Only what the platform did here in support sessions.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Continue a list.")] = None,
) -> None:
    """Who did what, newest first."""
    run = invocation(ctx)
    page = run.client.journal.audit(
        actor=actor,
        action=action,
        since=parse_time(since, "since") if since else None,
        until=parse_time(until, "until") if until else None,
        support=support,
        limit=limit,
        before=before,
    )
    columns = [
        Column[ChainedEvent]("#", lambda item: str(item.sequence), right=True, style="dim"),
        Column[ChainedEvent]("AT", lambda item: time(item.event.at.replace(microsecond=0))),
        Column[ChainedEvent]("ACTOR", lambda item: item.event.actor),
        Column[ChainedEvent]("ACTION", lambda item: item.event.action, style="bold"),
        Column[ChainedEvent]("WHAT", _what),
        Column[ChainedEvent]("STATUS", lambda item: str(item.event.status or ""), right=True, style=_outcome),
        Column[ChainedEvent]("OUTCOME", lambda item: item.event.outcome, style=_outcome),
    ]
    run.output.rows(page, columns, key=lambda item: str(item.sequence), following=page.next, empty="No entry.")


@audit.command("export")
def export(
    ctx: typer.Context,
    form: Annotated[ExportForm, typer.Option("--format", help="Lines of JSON, or CSV.")] = ExportForm.JSONL,
    since: Since = None,
    until: Until = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write here instead of to stdout.")] = None,
) -> None:
    """All entries, oldest first, for an auditor's own tools."""
    run = invocation(ctx)
    pieces = run.client.journal.export(
        form.value,
        since=parse_time(since, "since") if since else None,
        until=parse_time(until, "until") if until else None,
    )
    if to is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    unfinished = to.with_name(f"{to.name}.part")
    try:
        with unfinished.open("wb") as file:
            file.writelines(pieces)
        unfinished.replace(to)
    except OSError as error:
        raise InvalidInput(f"--to {to}: {error.strerror}", field="to", fix="Name a file that may be made.") from None
    finally:
        unfinished.unlink(missing_ok=True)
    run.output.note(f"written to {to}")


@audit.command("verify")
def verify(
    ctx: typer.Context,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="heads|FILE",
            help="Also compare with published heads: all that the daemon keeps, or the newest in a copy you kept.",
        ),
    ] = None,
) -> None:
    """Recompute the hash chain; exits with 3 when it is broken."""
    run = invocation(ctx)
    wanted = against if against is None or against == "heads" else _newest_in(run, Path(against))
    found = run.client.journal.verify(wanted)
    pairs = [
        ("entries", f"{found.length:,}" + (f", from {found.start + 1:,} on" if found.start else "")),
        ("head", found.head.hex()),
        ("chain", "whole" if found.broken_at is None else f"BROKEN at {found.broken_at}: {found.problem}"),
    ]
    if against is not None:
        pairs.append(("published heads", f"{found.compared:,} agree" if found.broken_at is None else "compared"))
    run.output.record(found, pairs, key=found.head.hex())
    _insist_on_whole(found, against)


def _insist_on_whole(found: ChainVerdict, against: str | None) -> None:
    if found.broken_at is not None:
        raise DriftFound(
            f"the audit chain is broken at entry {found.broken_at}: {found.problem}",
            fix="Compare with a head that was published earlier; somebody changed rows behind the daemon's back.",
        )
    if against is not None and not found.compared:
        raise DriftFound(
            "none of the published heads could be compared: their rows were dropped after they were kept long enough",
            fix="Use a newer copy of the heads.",
        )


def _newest_in(run: Invocation, path: Path) -> str:
    """The newest head of the caller's chain in a file of heads, or in the newest files of a folder."""
    chain = run.client.access.whoami().tenant_id or PLATFORM
    try:
        files = sorted(path.glob("heads-*.jsonl")) if path.is_dir() else [path]
        heads = [head for file in files for head in parse_heads(file.read_text(encoding="utf-8"), str(file))]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--against {path}: {error}", field="against", fix="Name a file of heads.") from None
    ours = [head for head in heads if head.tenant_id == chain]
    if not ours:
        raise NotFound(f"{path} holds no head of this chain", fix="Name another copy, or --against heads.")
    newest = max(ours, key=lambda head: head.sequence)
    return f"{newest.sequence}:{newest.hash.hex()}"


def _what(item: ChainedEvent) -> str:
    """A request's path; of a change its subject and the fields."""
    event = item.event
    if event.kind is AuditKind.REQUEST:
        return event.path
    if event.kind is AuditKind.REFUSED:
        return f"{event.path}, {event.count} times {event.reason}"
    fields = ", ".join(f"{name} {_side(sides)}" for name, sides in event.changes.items())
    return " ".join(part for part in (event.subject, fields, event.reason and f"({event.reason})") if part)


def _side(sides: dict[str, object]) -> str:
    return " -> ".join(str(value) for value in sides.values())


def _outcome(item: ChainedEvent) -> str:
    return "" if item.event.status < 400 else "red"
