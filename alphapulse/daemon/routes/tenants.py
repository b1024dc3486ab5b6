"""Tenants of the platform: how they come, what they may use, and what is done to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, Time
from alphapulse.daemon.routing import add
from alphapulse.domain.plans import Override, PlanStanding
from alphapulse.domain.provisioning import ProvisioningStatus
from alphapulse.domain.tenancy import Permission, Role, Tenant
from alphapulse.errors import NotFound

Why = Annotated[str, Query(max_length=500)]


class NewTenant(Body):
    name: Line
    tier: Line = "starter"
    admin_email: Line
    slug: Line | None = None


class Reason(Body):
    reason: Line


class TenantClosing(Body):
    reason: Line
    acknowledge_positions: bool = False


class Deletion(TenantClosing):
    confirm: Line


class NewTier(Body):
    tier: Line
    reason: Line


class NewOverride(Body):
    value: Annotated[int, Field(ge=0, le=2**53)] | None = None
    until: Time
    reason: Line


async def create(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], body: NewTenant) -> Response:
    """Begin a tenant; a job provisions it and invites its first admin. slug: by default made from the name."""
    made = await call.services.provisioning.create(
        name=body.name, tier=body.tier, admin_email=body.admin_email, slug=body.slug, actor=call.caller.actor
    )
    return answer(made, 201)


async def listed(call: Annotated[Call, allow(Permission.PLATFORM_READ)]) -> Response:
    """Every tenant, by slug."""
    return page(await call.services.tenancy.list_tenants())


async def show(call: Annotated[Call, allow(Permission.TENANTS_READ)], slug: str) -> Response:
    """One tenant, by slug or id; a tenant admin sees their own only."""
    return answer(await _visible(call, slug))


async def provisioning(call: Annotated[Call, allow(Permission.TENANTS_READ)], slug: str) -> Response:
    """The steps by which the tenant was made, and where each stands."""
    return answer(await call.services.provisioning.status((await _visible(call, slug)).id))


async def retry(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str) -> Response:
    """Provision anew what was rolled back."""
    tenant = await _visible(call, slug)
    return answer(await call.services.provisioning.retry(tenant.id, actor=call.caller.actor))


async def plan(call: Annotated[Call, allow(Permission.TENANTS_READ)], slug: str) -> Response:
    """The tenant's tier, its limits with what is used of them, and the overrides."""
    return answer(await call.services.metering.standing((await _visible(call, slug)).id))


async def suspend(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: Reason) -> Response:
    """Reduce-only from the next order on: exits, cancels and the halt work, new risk and agents do not."""
    tenant = await _visible(call, slug)
    return answer(await call.services.lifecycle.suspend(tenant.id, reason=body.reason, actor=call.caller.actor))


async def resume(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: Reason) -> Response:
    """End a suspension."""
    tenant = await _visible(call, slug)
    return answer(await call.services.lifecycle.resume(tenant.id, reason=body.reason, actor=call.caller.actor))


async def cancel(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: TenantClosing) -> Response:
    """Close a tenant and keep it. Open orders must be cancelled and positions acknowledged first."""
    tenant = await _visible(call, slug)
    made = await call.services.lifecycle.cancel(
        tenant.id,
        reason=body.reason,
        actor=call.caller.actor,
        acknowledge_positions=body.acknowledge_positions,
    )
    return answer(made)


async def delete(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: Deletion) -> Response:
    """Close a tenant and purge it after 30 days. confirm: its slug, typed."""
    tenant = await _visible(call, slug)
    made = await call.services.lifecycle.delete(
        tenant.id,
        confirm=body.confirm,
        reason=body.reason,
        actor=call.caller.actor,
        acknowledge_positions=body.acknowledge_positions,
    )
    return answer(made)


async def restore(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: Reason) -> Response:
    """A cancelled or deleted tenant stands again where it stood before it was closed."""
    tenant = await _visible(call, slug)
    return answer(await call.services.lifecycle.restore(tenant.id, reason=body.reason, actor=call.caller.actor))


async def change_tier(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, body: NewTier) -> Response:
    """Another tier, in force at once."""
    tenant = await _visible(call, slug)
    made = await call.services.lifecycle.change_tier(tenant.id, body.tier, reason=body.reason, actor=call.caller.actor)
    return answer(made)


async def override(
    call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, limit: str, body: NewOverride
) -> Response:
    """One limit of this tenant until a time. value: left out for unlimited."""
    tenant = await _visible(call, slug)
    made = await call.services.lifecycle.override(
        tenant.id, limit, body.value, until=body.until, reason=body.reason, actor=call.caller.actor
    )
    return answer(made)


async def drop_override(
    call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str, limit: str, reason: Why
) -> Response:
    """The tier's own limit holds again."""
    tenant = await _visible(call, slug)
    await call.services.lifecycle.drop_override(tenant.id, limit, reason=reason, actor=call.caller.actor)
    return answer(await call.services.metering.standing(tenant.id))


async def _visible(call: Call, slug: str) -> Tenant:
    """Raises NotFound for a tenant that is not the caller's, as for one that is not there."""
    found = await call.services.tenancy.get_tenant(slug)
    if call.caller.role is not Role.PLATFORM_ADMIN and found.id != call.caller.tenant_id:
        raise NotFound(f"no tenant {slug[:60]!r}")
    return found


def routes(router: APIRouter) -> None:
    add(router, "POST", "/tenants", create, Tenant, status=201)
    add(router, "GET", "/tenants", listed, Page[Tenant])
    add(router, "GET", "/tenants/{slug}", show, Tenant)
    add(router, "GET", "/tenants/{slug}/provisioning", provisioning, ProvisioningStatus)
    add(router, "POST", "/tenants/{slug}/provisioning", retry, Tenant)
    add(router, "GET", "/tenants/{slug}/plan", plan, PlanStanding)
    add(router, "POST", "/tenants/{slug}/suspend", suspend, Tenant)
    add(router, "POST", "/tenants/{slug}/resume", resume, Tenant)
    add(router, "POST", "/tenants/{slug}/cancel", cancel, Tenant)
    add(router, "POST", "/tenants/{slug}/delete", delete, Tenant)
    add(router, "POST", "/tenants/{slug}/restore", restore, Tenant)
    add(router, "PUT", "/tenants/{slug}/tier", change_tier, Tenant)
    add(router, "PUT", "/tenants/{slug}/overrides/{limit}", override, Override)
    add(router, "DELETE", "/tenants/{slug}/overrides/{limit}", drop_override, PlanStanding)
