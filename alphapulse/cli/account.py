"""One's own tenant as an account: a copy of everything, and its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.progress import bar
from alphapulse.cli.render import Column
from alphapulse.cli.signup import confirm
from alphapulse.cli.text import NONE, time
from alphapulse.domain.privacy import Certificate, Export, ExportState
from alphapulse.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from alphapulse.client.privacy import PrivacyCalls

app = group()
app.command("confirm")(confirm)

_File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Default: alphapulse-export-DATE.zip, here.")
]


@app.command("status")
def status(ctx: typer.Context) -> None:
    """Where the tenant stands, and when it is erased if it is deleted."""
    run = invocation(ctx)
    found = run.client.privacy.account()
    pairs = [("slug", found.slug), ("name", found.name), ("state", str(found.state))]
    if found.erased_at is not None:
        pairs.append(("erased", f"{time(found.erased_at)} (take it back: alphapulse account undelete)"))
    pairs.append(("export", NONE if found.export is None else f"{found.export.state} {found.export.id}"))
    run.output.record(found, pairs, key=str(found.state))


@app.command("export")
def export(
    ctx: typer.Context,
    file: _File = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for it, and fetch it.")] = True,
) -> None:
    """Make a copy of everything the tenant holds, as one zip, and fetch it."""
    run = invocation(ctx)
    begun = run.client.privacy.begin()
    if not wait:
        _show(run, begun)
        run.output.note(f"Fetch it once it is ready: alphapulse account download {begun.id}")
        return
    with bar(run, "Exporting") as shown:
        ready = run.client.privacy.wait(
            begun, lambda one: shown.moved(one.tables, one.tables_total, f"{one.rows:,} rows")
        )
    _fetch(run, run.client.privacy, ready, file)


@app.command("exports")
def exports(ctx: typer.Context) -> None:
    """The copies that were made, newest first."""
    run = invocation(ctx)
    columns = [
        Column[Export]("ID", lambda item: str(item.id)),
        Column[Export]("STATE", lambda item: str(item.state)),
        Column[Export]("ASKED FOR", lambda item: time(item.requested_at)),
        Column[Export]("ROWS", lambda item: f"{item.rows:,}", right=True),
        Column[Export]("BYTES", lambda item: f"{item.size:,}", right=True),
        Column[Export]("UNTIL", lambda item: time(item.expires_at)),
    ]
    page = run.client.privacy.exports()
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="No export yet.")


@app.command("download")
def download(
    ctx: typer.Context,
    export_id: Annotated[
        UUID | None, typer.Argument(metavar="[EXPORT]", help="Its id; default: the newest that is ready.")
    ] = None,
    file: _File = None,
) -> None:
    """Fetch a copy; run again, it goes on where it broke off."""
    run = invocation(ctx)
    calls = run.client.privacy
    if export_id is not None:
        found = calls.wait(calls.export(export_id))
    else:
        ready = next((one for one in calls.exports() if one.state is ExportState.READY), None)
        if ready is None:
            raise NotFound("no export is ready", fix="Make one: alphapulse account export")
        found = ready
    _fetch(run, calls, found, file)


@app.command("delete")
def delete(
    ctx: typer.Context,
    typed: Annotated[
        str | None, typer.Option("--confirm", metavar="SLUG", help="The tenant's slug, typed again.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="For the audit log.")] = None,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge-positions", help="Accept that what the tenant holds stays as it is.")
    ] = False,
) -> None:
    """Close the tenant; after 30 days everything it holds is erased. Until then `undelete` takes it back."""
    run = invocation(ctx)
    confirmed = typed or run.ask("This closes the tenant. Type its slug to go ahead", "--confirm SLUG")
    gone = run.client.privacy.delete(confirmed, reason, acknowledge_positions=acknowledge)
    standing = run.client.privacy.account()
    run.output.record(
        gone, [("slug", gone.slug), ("state", str(gone.state)), ("erased", time(standing.erased_at))], key=gone.slug
    )
    run.output.note("Until then: alphapulse account undelete")


@app.command("undelete")
def undelete(
    ctx: typer.Context,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="For the audit log.")] = None,
) -> None:
    """Take a deletion back."""
    run = invocation(ctx)
    back = run.client.privacy.restore(reason)
    run.output.record(back, [("slug", back.slug), ("state", str(back.state))], key=str(back.state))


@app.command("certificate")
def certificate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate of erasure, as it was mailed.")],
) -> None:
    """Have the daemon prove that a certificate of erasure is its own."""
    run = invocation(ctx)
    lines = _proof(file)
    found = run.client.privacy.check(lines["Statement"], lines["Signature"])
    if found.certificate is None:
        raise Refused(f"{file}: not signed by this platform, or changed since")
    _show_certificate(run, found.certificate)


def _proof(file: Path) -> dict[str, str]:
    """The lines that prove it. Raises InvalidInput."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: cannot be read", field="file", fix="Name the file of the certificate.") from error
    parts = [line.split(maxsplit=1) for line in text.splitlines()]
    found = {pair[0]: pair[1].strip() for pair in parts if len(pair) == 2}
    if not {"Statement", "Signature"} <= found.keys():
        raise InvalidInput(
            f"{file}: no certificate of erasure", field="file", fix="It has a line Statement and a line Signature."
        )
    return found


def _show_certificate(run: Invocation, item: Certificate) -> None:
    pairs = [("genuine", "yes"), ("tenant", str(item.tenant_id)), ("erased", time(item.erased_at))]
    pairs += [(each.what, f"{each.amount:,}") for each in item.erased if each.amount]
    pairs += [(f"kept: {each.what}", each.why) for each in item.kept]
    run.output.record(item, pairs, key=str(item.tenant_id))


def _fetch(run: Invocation, calls: PrivacyCalls, item: Export, named: Path | None) -> None:
    file = named or Path(f"alphapulse-export-{item.requested_at:%Y%m%d}.zip")
    with bar(run, "Fetching") as shown:
        calls.download(item, file, shown.moved)
    run.output.record(
        item,
        [("file", str(file)), ("rows", f"{item.rows:,}"), ("bytes", f"{item.size:,}"), ("sha256", item.sha256)],
        key=str(file),
    )


def _show(run: Invocation, item: Export) -> None:
    pairs = [("id", str(item.id)), ("state", str(item.state)), ("asked for", time(item.requested_at))]
    run.output.record(item, pairs, key=str(item.id))
