"""The plan of one's own tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, money, time
from alphapulse.domain.money import parse_decimal
from alphapulse.domain.plans import LimitUse, PlanStanding
from alphapulse.errors import InvalidInput

app = group()


@app.command("show")
def show(ctx: typer.Context) -> None:
    """The tier, its limits, and what is used of them."""
    run = invocation(ctx)
    show_plan(run, run.client.tenants.plan())


@app.command("overage")
def overage(
    ctx: typer.Context,
    cap: Annotated[
        str | None, typer.Option("--cap", metavar="AMOUNT", help="The most that may be billed in a calendar month.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Refuse what lies beyond the limits instead.")] = False,
) -> None:
    """Have what lies beyond the limits billed, up to a cap."""
    run = invocation(ctx)
    if off == (cap is not None):
        raise InvalidInput("say either --cap or --off", field="cap", fix="For example --cap 50, or --off.")
    show_plan(run, run.client.tenants.set_overage(None if cap is None else parse_decimal(cap, "cap")))


def show_plan(run: Invocation, plan: PlanStanding) -> None:
    if run.as_json:
        run.output.record(plan, [], key=plan.tier.value)
        return
    columns = [
        Column[LimitUse]("LIMIT", lambda item: item.limit.value.replace("_", " ")),
        Column[LimitUse]("USED", lambda item: NONE if item.used is None else f"{item.used:,}", right=True),
        Column[LimitUse]("INCLUDED", lambda item: _limit(item.included), right=True),
        Column[LimitUse]("ALLOWED", lambda item: _limit(item.allowed), right=True),
        Column[LimitUse]("OVERAGE", lambda item: money(item.amount), right=True),
    ]
    run.output.rows(plan.limits, columns, key=lambda item: item.limit.value)
    run.output.note(_terms(plan))
    for each in plan.overrides:
        run.output.note(f"{each.limit} is {_limit(each.value)} until {time(each.expires_at)}: {each.reason}")


def _terms(plan: PlanStanding) -> str:
    trial = "" if plan.trial_ends_at is None else f", trial until {time(plan.trial_ends_at)}"
    if plan.overage_cap is None:
        return f"Tier {plan.tier}{trial}; what lies beyond is refused."
    return (
        f"Tier {plan.tier}{trial}; {money(plan.spent)} of {money(plan.overage_cap)} {plan.currency} overage this month."
    )


def _limit(value: int | None) -> str:
    return "unlimited" if value is None else f"{value:,}"
