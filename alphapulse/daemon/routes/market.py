"""Candles and instruments."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response

from alphapulse.daemon import uploads
from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Limit, Time
from alphapulse.daemon.routing import add
from alphapulse.domain.market import (
    Bar,
    Gap,
    ImportReport,
    Instrument,
    Series,
    SeriesInfo,
    parse_symbol,
    parse_timeframe,
    parse_venue,
)
from alphapulse.domain.tenancy import Permission
from alphapulse.errors import InvalidInput, StorageFull


async def bring_in(
    call: Annotated[Call, allow(Permission.MARKET_WRITE)],
    request: Request,
    filename: str,
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> Response:
    """Import the candles in the body (CSV, Parquet or Feather). What is not named is read from the file's name."""
    name = Path(filename).name
    if not name or not name.isprintable() or len(name) > 200:
        raise InvalidInput("filename: not a file name", field="filename", fix="Send the plain name, as in a folder.")
    with _telling_of_a_full_disk(), uploads.room(call.services.uploads) as path:
        await _receive(request, path)
        report = await call.services.market.import_candles(path, name, venue=venue, symbol=symbol, timeframe=timeframe)
    return answer(report)


async def series(call: Annotated[Call, allow(Permission.MARKET_READ)]) -> Response:
    """What the catalogue holds."""
    return page(await call.services.market.series())


async def candles(
    call: Annotated[Call, allow(Permission.MARKET_READ)],
    venue: str,
    symbol: str,
    timeframe: str,
    since: Time | None = None,
    until: Time | None = None,
    limit: Limit = 100,
) -> Response:
    """Closed bars, oldest first; without since the newest."""
    wanted = _series(venue, symbol, timeframe)
    window = await call.services.market.candles(wanted, since, until, limit)
    return page([window.bar(index) for index in range(len(window))])


async def gaps(
    call: Annotated[Call, allow(Permission.MARKET_READ)], venue: str, symbol: str, timeframe: str
) -> Response:
    """Runs of bars that the catalogue lacks."""
    return page(await call.services.market.gaps(_series(venue, symbol, timeframe)))


async def instruments(call: Annotated[Call, allow(Permission.MARKET_READ)], venue: str) -> Response:
    """What may be traded on a venue, by symbol."""
    found = await call.services.market.instruments(parse_venue(venue))
    return page([found[symbol] for symbol in sorted(found)])


def routes(router: APIRouter) -> None:
    upload = {
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
    add(router, "POST", "/market/candles", bring_in, ImportReport, openapi_extra=upload)
    add(router, "GET", "/market/series", series, Page[SeriesInfo])
    add(router, "GET", "/market/candles", candles, Page[Bar])
    add(router, "GET", "/market/gaps", gaps, Page[Gap])
    add(router, "GET", "/market/instruments", instruments, Page[Instrument])


def _series(venue: str, symbol: str, timeframe: str) -> Series:
    return Series(parse_venue(venue), parse_symbol(symbol), parse_timeframe(timeframe))


async def _receive(request: Request, path: Path) -> None:
    """Store the body, piece by piece."""
    with path.open("wb") as file:
        async for piece in request.stream():
            await asyncio.to_thread(file.write, piece)


@contextlib.contextmanager
def _telling_of_a_full_disk() -> Generator[None]:
    """Raises StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise StorageFull("no space left for the upload: nothing was imported", fix="Free some space.") from error
