"""Tenants of the platform."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import Permission, Role, Tenant
from alphapulse.errors import NotFound


class NewTenant(Body):
    slug: Line
    name: Line
    tier: Line = "standard"
    admin_email: Line
    admin_password: str | None = None


async def create(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], body: NewTenant) -> Response:
    """A tenant with its first tenant admin."""
    made = await call.services.tenancy.create_tenant(
        slug=body.slug,
        name=body.name,
        tier=body.tier,
        admin_email=body.admin_email,
        admin_password=body.admin_password,
        actor=call.caller.actor,
    )
    return answer(made, 201)


async def listed(call: Annotated[Call, allow(Permission.PLATFORM_READ)]) -> Response:
    """Every tenant, by slug."""
    return page(await call.services.tenancy.list_tenants())


async def show(call: Annotated[Call, allow(Permission.TENANTS_READ)], slug: str) -> Response:
    """One tenant; a tenant admin sees their own only."""
    found = await call.services.tenancy.get_tenant(slug)
    if call.caller.role is not Role.PLATFORM_ADMIN and found.id != call.caller.tenant_id:
        raise NotFound(f"no tenant {slug[:60]!r}")
    return answer(found)


def routes(router: APIRouter) -> None:
    add(router, "POST", "/tenants", create, Tenant, status=201)
    add(router, "GET", "/tenants", listed, Page[Tenant])
    add(router, "GET", "/tenants/{slug}", show, Tenant)
