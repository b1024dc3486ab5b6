"""Funds and their versioned configuration."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi import Body as WholeBody
from pydantic import Field, PlainValidator

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, Money, Time, one_of
from alphapulse.daemon.jobs.replay import enqueue_replay
from alphapulse.daemon.routing import add
from alphapulse.domain.funds import ConfigVersion, Fund, FundConfig, FundMode, Replay
from alphapulse.domain.tenancy import Permission
from alphapulse.domain.wire import decode
from alphapulse.ports.database import Transaction


def _config(value: Any, path: str) -> FundConfig:
    return decode(FundConfig, value, path)


#: The domain reads it itself: money as strings, unknown keys refused, each error with its path.
Config = Annotated[FundConfig, PlainValidator(partial(_config, path="config"), json_schema_input_type=FundConfig)]
WholeConfig = Annotated[FundConfig, PlainValidator(partial(_config, path=""), json_schema_input_type=FundConfig)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class NewFund(Body):
    name: Line
    mode: Annotated[FundMode, *one_of(FundMode)] = FundMode.PAPER
    capital: Money
    config: Config


class Rollback(Body):
    version: Version


class NewReplay(Body):
    start_at: Time | None = None
    end_at: Time | None = None
    bars: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


async def listed(call: Annotated[Call, allow(Permission.FUNDS_READ)]) -> Response:
    """By name."""
    return page(await call.services.funds.list(call.tenant_id))


async def create(call: Annotated[Call, allow(Permission.FUNDS_WRITE)], body: NewFund) -> Response:
    """A stopped fund with its capital paid in."""
    made = await call.services.funds.create(
        call.tenant_id, body.name, body.mode, body.capital, body.config, call.caller.actor
    )
    return answer(made, 201)


async def show(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str) -> Response:
    """One fund, by name or id, with the configuration in force."""
    return answer(await call.services.funds.get(call.tenant_id, fund))


async def start(call: Annotated[Call, allow(Permission.FUNDS_WRITE)], fund: str) -> Response:
    """From the next closed bar on the schedule runs it."""
    return answer(await call.services.funds.start(call.tenant_id, fund, call.caller.actor))


async def stop(call: Annotated[Call, allow(Permission.FUNDS_STOP)], fund: str) -> Response:
    """No more decisions; what it holds and its open orders stay."""
    return answer(await call.services.funds.stop(call.tenant_id, fund, call.caller.actor))


async def configs(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str) -> Response:
    """Every version, newest first."""
    return page(await call.services.funds.versions(call.tenant_id, fund))


async def config(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str, version: Version) -> Response:
    """One version."""
    return answer(await call.services.funds.config(call.tenant_id, fund, version))


async def configure(
    call: Annotated[Call, allow(Permission.FUNDS_WRITE)], fund: str, body: Annotated[WholeConfig, WholeBody()]
) -> Response:
    """The whole configuration as the next version, in force from the next bar."""
    return answer(await call.services.funds.configure(call.tenant_id, fund, body, call.caller.actor))


async def rollback(call: Annotated[Call, allow(Permission.FUNDS_WRITE)], fund: str, body: Rollback) -> Response:
    """An old version's configuration as the next version."""
    return answer(await call.services.funds.rollback(call.tenant_id, fund, body.version, call.caller.actor))


async def replay(call: Annotated[Call, allow(Permission.FUNDS_WRITE)], fund: str, body: NewReplay) -> Response:
    """Run a stopped fund over past bars, as a job that survives a restart. bars: so many up to end_at."""
    services, tenant_id = call.services, call.tenant_id

    async def enqueue(tx: Transaction, made: Replay) -> None:
        await enqueue_replay(services.queue, tx, tenant_id, made.id)

    made = await services.replays.start(
        tenant_id,
        fund,
        start_at=body.start_at,
        end_at=body.end_at,
        bars=body.bars,
        enqueue=enqueue,
        actor=call.caller.actor,
    )
    return answer(made, 201)


async def replay_state(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str, replay_id: UUID) -> Response:
    """How far a replay is."""
    return answer(await call.services.replays.get(call.tenant_id, fund, replay_id))


async def stop_replay(call: Annotated[Call, allow(Permission.FUNDS_STOP)], fund: str, replay_id: UUID) -> Response:
    """End a replay for good; what it did so far stands."""
    return answer(await call.services.replays.stop(call.tenant_id, fund, replay_id, actor=call.caller.actor))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/funds", listed, Page[Fund])
    add(router, "POST", "/funds", create, Fund, status=201)
    add(router, "GET", "/funds/{fund}", show, Fund)
    add(router, "POST", "/funds/{fund}/start", start, Fund)
    add(router, "POST", "/funds/{fund}/stop", stop, Fund)
    add(router, "GET", "/funds/{fund}/configs", configs, Page[ConfigVersion])
    add(router, "GET", "/funds/{fund}/configs/{version}", config, ConfigVersion)
    add(router, "PUT", "/funds/{fund}/config", configure, Fund)
    add(router, "POST", "/funds/{fund}/rollback", rollback, Fund)
    add(router, "POST", "/funds/{fund}/replays", replay, Replay, status=201)
    add(router, "GET", "/funds/{fund}/replays/{replay_id}", replay_state, Replay)
    add(router, "DELETE", "/funds/{fund}/replays/{replay_id}", stop_replay, Replay)
