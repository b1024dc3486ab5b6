"""Halts: trading stops at once and stays stopped until somebody resumes it."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.choose import fund_or_only
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.errors import InvalidInput

app = group()

_Scope = Annotated[str, typer.Option("--scope", metavar="fund|tenant|platform", help="What is stopped.")]
_Fund = Annotated[
    str | None, typer.Option("--fund", metavar="NAME", help="For scope fund; may be left out when there is only one.")
]


@app.command("halt")
def halt(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Shown in every refusal and in the audit log.")
    ],
    scope: _Scope = HaltScope.FUND.value,
    fund: _Fund = None,
) -> None:
    """Stop trading. Asks nothing: a halt is for emergencies, and a person can still sell."""
    run = invocation(ctx)
    kind = _scope(scope)
    _show(run, run.client.risk.halt(kind.value, reason, _named(run, kind, fund)))


@app.command("resume")
def resume(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Goes into the audit log.")],
    scope: _Scope = HaltScope.FUND.value,
    fund: _Fund = None,
) -> None:
    """Lift a halt."""
    run = invocation(ctx)
    kind = _scope(scope)
    chosen = _named(run, kind, fund)
    run.confirm(f"Resume trading of {f'fund {chosen}' if chosen else f'the {kind.value}'}?")
    _show(run, run.client.risk.resume(kind.value, reason, chosen))


@app.command("status")
def status(ctx: typer.Context) -> None:
    """The halts in force."""
    run = invocation(ctx)
    page = run.client.risk.halts()
    columns = [
        Column[Halt]("SCOPE", lambda item: item.scope.value, style="red"),
        Column[Halt]("FUND", lambda item: item.fund or NONE),
        Column[Halt]("SINCE", lambda item: time(item.recorded_at)),
        Column[Halt]("BY", lambda item: item.actor),
        Column[Halt]("REASON", lambda item: item.reason),
    ]
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="Nothing is halted.")


def _scope(text: str) -> HaltScope:
    try:
        return HaltScope(text)
    except ValueError:
        raise InvalidInput(
            f"scope: {text[:40]!r} cannot be halted", field="scope", fix=f"Use one of {', '.join(HaltScope)}."
        ) from None


def _named(run: Invocation, scope: HaltScope, fund: str | None) -> str | None:
    return fund_or_only(run.client, fund) if scope is HaltScope.FUND else None


def _show(run: Invocation, item: Halt) -> None:
    run.output.record(
        item,
        [
            ("scope", item.scope.value + (f" {item.fund}" if item.fund else "")),
            ("trading", "resumed" if item.lifted_at else "HALTED"),
            ("since", time(item.lifted_at or item.recorded_at)),
            ("by", item.lifted_by or item.actor),
            ("reason", item.reason),
        ],
        key=str(item.id),
    )
