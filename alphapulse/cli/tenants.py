"""Tenants of the platform: how they come, what they may use, what is done to them."""

from __future__ import annotations

import time as seconds
from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.members import show_invitation
from alphapulse.cli.plan import show_plan
from alphapulse.cli.progress import bar
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.client.tenants import insist_provisioned
from alphapulse.domain.lifecycle import KEPT
from alphapulse.domain.plans import Override, parse_limit, parse_tier
from alphapulse.domain.provisioning import ProvisioningStatus, ProvisioningStep, StepState
from alphapulse.domain.tenancy import Tenant, parse_email, parse_slug
from alphapulse.domain.wire import parse_time
from alphapulse.errors import InvalidInput, Unavailable

app = group()

#: Seconds between two looks at a provisioning, and after which one that does not move is given up on.
_LOOK_EVERY, _STUCK_AFTER = 0.1, 300.0

_Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Its slug or id.")]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the audit log.")]
_Acknowledge = Annotated[
    bool, typer.Option("--acknowledge-positions", help="Accept that what the tenant holds stays as it is.")
]


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="For people, for example 'Acme Capital'.")],
    admin: Annotated[str, typer.Option("--admin-email", metavar="EMAIL", help="Who is invited as the first admin.")],
    tier: Annotated[str, typer.Option("--tier", metavar="TIER", help="starter, pro or enterprise.")] = "starter",
    slug: Annotated[str | None, typer.Option("--slug", metavar="SLUG", help="Default: made from the name.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is provisioned.")] = True,
) -> None:
    """Provision a tenant and invite its first admin."""
    run = invocation(ctx)
    email, wanted = parse_email(admin, "admin_email"), parse_tier(tier)
    made = run.client.tenants.create(name, wanted, email, slug=None if slug is None else parse_slug(slug))
    if not wait:
        _show(run, made)
        return
    status = _watched(run, made.slug)
    insist_provisioned(status)
    _show(run, run.client.tenants.get(made.slug))
    run.output.note(f"{status.admin_email} is invited.")


@app.command("list")
def listed(ctx: typer.Context) -> None:
    """Every tenant of the platform."""
    run = invocation(ctx)
    columns = [
        Column[Tenant]("SLUG", lambda item: item.slug),
        Column[Tenant]("NAME", lambda item: item.name),
        Column[Tenant]("TIER", lambda item: str(item.tier)),
        Column[Tenant]("STATE", lambda item: str(item.state)),
        Column[Tenant]("CREATED", lambda item: time(item.created_at)),
    ]
    page = run.client.tenants.list()
    run.output.rows(page, columns, key=lambda item: item.slug, following=page.next, empty="No tenant yet.")


@app.command("show")
def show(ctx: typer.Context, slug: _Tenant) -> None:
    """One tenant."""
    run = invocation(ctx)
    _show(run, run.client.tenants.get(slug))


@app.command("status")
def status(
    ctx: typer.Context,
    slug: _Tenant,
    watch: Annotated[bool, typer.Option("--watch", help="Until it is provisioned, or rolled back.")] = False,
) -> None:
    """The steps by which a tenant was made, and where each stands."""
    run = invocation(ctx)
    found = _watched(run, slug) if watch else run.client.tenants.provisioning(slug)
    columns = [
        Column[ProvisioningStep]("STEP", lambda item: str(item.name)),
        Column[ProvisioningStep]("STATE", lambda item: str(item.state)),
        Column[ProvisioningStep]("TRIES", lambda item: str(item.attempts)),
        Column[ProvisioningStep]("DONE", lambda item: time(item.finished_at)),
        Column[ProvisioningStep]("WHAT", lambda item: item.error or item.detail or NONE),
    ]
    if run.as_json:
        run.output.record(found, [], key=found.slug)
    else:
        run.output.rows(found.steps, columns, key=lambda item: item.name.value)
        run.output.note(f"{found.slug} is {found.state}.")
    if watch:
        insist_provisioned(found)


@app.command("retry")
def retry(ctx: typer.Context, slug: _Tenant) -> None:
    """Provision anew what was rolled back."""
    run = invocation(ctx)
    run.client.tenants.retry(slug)
    insist_provisioned(_watched(run, slug))
    _show(run, run.client.tenants.get(slug))


@app.command("invite")
def invite(ctx: typer.Context, slug: _Tenant) -> None:
    """Invite a tenant's first admin again, as long as it has none; the earlier link is dead."""
    run = invocation(ctx)
    show_invitation(run, run.client.people.invite_admin(slug))


@app.command("plan")
def plan(ctx: typer.Context, slug: _Tenant) -> None:
    """Its tier, its limits, and what it uses of them."""
    run = invocation(ctx)
    show_plan(run, run.client.tenants.plan(slug))


@app.command("suspend")
def suspend(ctx: typer.Context, slug: _Tenant, reason: _Reason) -> None:
    """Make a tenant reduce-only: it may look, sell, cancel and halt, and nothing that adds risk."""
    run = invocation(ctx)
    _show(run, run.client.tenants.suspend(slug, reason))


@app.command("resume")
def resume(ctx: typer.Context, slug: _Tenant, reason: _Reason) -> None:
    """End a suspension."""
    run = invocation(ctx)
    _show(run, run.client.tenants.resume(slug, reason))


@app.command("change-tier")
def change_tier(
    ctx: typer.Context,
    slug: _Tenant,
    tier: Annotated[str, typer.Argument(metavar="TIER", help="starter, pro or enterprise.")],
    reason: _Reason,
) -> None:
    """Another tier, in force at once."""
    run = invocation(ctx)
    _show(run, run.client.tenants.change_tier(slug, parse_tier(tier), reason))


@app.command("cancel")
def cancel(ctx: typer.Context, slug: _Tenant, reason: _Reason, acknowledge: _Acknowledge = False) -> None:
    """Close a tenant and keep it; its orders must be cancelled first."""
    run = invocation(ctx)
    run.confirm(f"Close tenant {slug}?")
    _show(run, run.client.tenants.cancel(slug, reason, acknowledge_positions=acknowledge))


@app.command("delete")
def delete(
    ctx: typer.Context,
    slug: _Tenant,
    reason: _Reason,
    confirm: Annotated[str | None, typer.Option("--confirm", metavar="SLUG", help="The slug, typed again.")] = None,
    acknowledge: _Acknowledge = False,
) -> None:
    """Close a tenant and purge it after 30 days."""
    run = invocation(ctx)
    typed = confirm or run.ask(f"Type the slug of the tenant to delete ({slug})", "--confirm SLUG")
    gone = run.client.tenants.delete(slug, typed, reason, acknowledge_positions=acknowledge)
    _show(run, gone)
    run.output.note(f"It is purged in {KEPT.days} days. Until then: alphapulse tenants restore {gone.slug}")


@app.command("restore")
def restore(ctx: typer.Context, slug: _Tenant, reason: _Reason) -> None:
    """Open a cancelled or deleted tenant again, as it stood before."""
    run = invocation(ctx)
    _show(run, run.client.tenants.restore(slug, reason))


@app.command("override")
def override(
    ctx: typer.Context,
    slug: _Tenant,
    change: Annotated[str, typer.Argument(metavar="LIMIT=VALUE", help="For example agents=10, positions=unlimited.")],
    reason: _Reason,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="When it ends.")] = None,
) -> None:
    """Set one limit of a tenant until a time; LIMIT=tier ends that."""
    run = invocation(ctx)
    name, _, text = change.partition("=")
    limit = parse_limit(name)
    if text == "tier":
        show_plan(run, run.client.tenants.drop_override(slug, limit, reason))
        return
    if until is None:
        raise InvalidInput(
            "--until is missing", field="until", fix="Say when it ends, for example 2027-01-31T00:00:00Z."
        )
    made = run.client.tenants.override(slug, limit, _value(text), until=parse_time(until, "until"), reason=reason)
    _show_override(run, made)


def _value(text: str) -> int | None:
    if text == "unlimited":
        return None
    if not text.isascii() or not text.replace("_", "").isdigit():
        raise InvalidInput(
            f"{text[:40]!r} is not a limit's value", field="value", fix="Write digits, `unlimited`, or `tier`."
        )
    return int(text)


def _show_override(run: Invocation, item: Override) -> None:
    value = "unlimited" if item.value is None else f"{item.value:,}"
    pairs = [("limit", str(item.limit)), ("value", value), ("until", time(item.expires_at)), ("reason", item.reason)]
    run.output.record(item, pairs, key=item.limit.value)


def _watched(run: Invocation, tenant: str) -> ProvisioningStatus:
    """Waits until nothing is to be done any more. Raises Unavailable when no step moves for long."""
    found, moved_at = run.client.tenants.provisioning(tenant), seconds.monotonic()
    with bar(run, "Provisioning") as shown:
        while found.finished_at is None:
            done = sum(step.state is StepState.DONE for step in found.steps)
            now = next((step for step in found.steps if step.state is StepState.RUNNING), None)
            shown.moved(done, len(found.steps), "" if now is None else f"{now.name} {now.error}".rstrip())
            seconds.sleep(_LOOK_EVERY)
            before, found = found, run.client.tenants.provisioning(tenant)
            moved_at = moved_at if found == before else seconds.monotonic()
            if seconds.monotonic() - moved_at > _STUCK_AFTER:
                raise Unavailable(
                    f"the provisioning of {tenant} does not move",
                    fix="Look at `alphapulse jobs list` and `alphapulse daemon logs`.",
                )
    return found


def _show(run: Invocation, item: Tenant) -> None:
    run.output.record(
        item,
        [
            ("slug", item.slug),
            ("name", item.name),
            ("tier", str(item.tier)),
            ("state", str(item.state)),
            ("created", time(item.created_at)),
            ("id", str(item.id)),
        ],
        key=item.slug,
    )
