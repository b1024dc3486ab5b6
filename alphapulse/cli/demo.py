"""`alphapulse demo`: from nothing to a fund's equity curve, through the daemon's API alone."""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from alphapulse.cli import context as files
from alphapulse.cli.context import Context
from alphapulse.cli.funds import first_config
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import invocation
from alphapulse.cli.market import import_all, readable
from alphapulse.cli.progress import waiting
from alphapulse.cli.replays import watch
from alphapulse.cli.text import time as written
from alphapulse.cli.throwaway import Throwaway, throwaway
from alphapulse.client.api import Client
from alphapulse.domain.funds import Fund, FundMode, Replay
from alphapulse.domain.market import Timeframe, parse_timeframe, parse_venue
from alphapulse.domain.people import Invitation
from alphapulse.domain.tenancy import Role
from alphapulse.errors import Defect, InvalidInput

if TYPE_CHECKING:
    from alphapulse.cli.demo_report import Result

TENANT = FUND = "demo"
SYNTHETIC = "synthetic"
_SYMBOLS = "BTC/USDT,ETH/USDT,SOL/USDT,BNB/USDT"
#: Venues whose spot markets are quoted in dollars and not in a coin for them.
_DOLLAR_SYMBOLS = {"coinbase": "BTC/USD,ETH/USD,SOL/USD", "kraken": "BTC/USD,ETH/USD,SOL/USD"}
#: The one setting of the person at the keyboard that their throw-away daemon keeps: where a live venue is reached.
_SOURCE_URLS = "ALPHAPULSE_MARKET__SOURCE_URLS"
#: How a file says which series it holds; the daemon reads it anew.
_FILE_NAME = re.compile(rf".+_[A-Za-z0-9]+-[A-Za-z0-9]+_({'|'.join(Timeframe)})")
#: How many decisions are looked through for one that placed orders.
_LOOK_BACK = 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """bars: how many to replay. files: the user's own candles. live: venue whose public candles are traded on."""

    bars: int
    timeframe: str
    files: tuple[Path, ...]
    live: str | None
    keep: bool


@dataclass(frozen=True, slots=True)
class People:
    """Clients of one daemon, one for each role of the story."""

    admin: Client
    owner: Client
    trader: Client
    viewer: Client


def demo(
    ctx: typer.Context,
    bars: Annotated[int, typer.Option("--bars", min=2, max=100_000, help="How many bars to replay.")] = 300,
    candles: Annotated[
        list[Path] | None,
        typer.Option("--candles", metavar="FILE...", help="Your own candles instead of synthetic ones."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", hidden=True)] = None,
    live: Annotated[
        str | None, typer.Option("--live", metavar="VENUE", help="Go on with live public candles, for example binance.")
    ] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="4h", help="Length of a bar.")] = "4h",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the daemon running, with a context to look around.")
    ] = False,
) -> None:
    """A fund trades on paper, from nothing, in one command: daemon, database, tenant, candles, agents, report."""
    run = invocation(ctx)
    # A shell that expands a pattern after --candles gives the first name to the option and the rest as arguments.
    if more and not candles:
        raise InvalidInput(f"{more[0]}: unexpected", field="candles", fix="Name files after --candles.")
    wanted = Wanted(bars, timeframe, (*(candles or ()), *(more or ())), live, keep)
    if wanted.files and wanted.live:
        raise InvalidInput("--candles and --live exclude each other", field="live", fix="Choose one of them.")
    _check(wanted)
    if keep:
        _refuse_second_demo(run)
    _play(run, wanted)


def _check(wanted: Wanted) -> None:
    """Everything that can be told without a daemon, before one is started for it. Raises InvalidInput."""
    parse_timeframe(wanted.timeframe)
    if wanted.live:
        parse_venue(wanted.live, "live")
    readable(list(wanted.files))
    for file in wanted.files:
        if not _FILE_NAME.fullmatch(file.stem):
            raise InvalidInput(
                f"{file}: its name does not say what it holds",
                field="candles",
                fix="Name it VENUE_BASE-QUOTE_TIMEFRAME, for example binance_BTC-USDT_4h.csv.",
            )
        if not file.stat().st_size:
            raise InvalidInput(f"{file} is empty", field="candles", fix="Name files with candles.")


def _refuse_second_demo(run: Invocation) -> None:
    known = run.contexts().named.get(TENANT)
    if known is not None:
        run.confirm(f"Context {TENANT} ({known.url}) will point at the new daemon. Go on?")


def _play(run: Invocation, wanted: Wanted) -> None:
    started = time.perf_counter()
    with throwaway(run.environment, _live_source(run, wanted.live) if wanted.live else {}) as daemon:
        with waiting(run, "Starting a daemon with a database of its own ..."):
            admin = daemon.wait_until_up()
            people = provision(admin)
        venue, symbols, timeframe = _market(run, people.admin, wanted)
        fund = people.trader.funds.create(
            FUND, FundMode.PAPER, Decimal(100_000), first_config(venue, symbols, timeframe, "trend,mean_reversion")
        )
        _replay(run, people.trader, fund, wanted.bars)
        result = _result(people.viewer, fund, wanted, time.perf_counter() - started)
        kept = _keep(run, daemon, people.owner, admin) if wanted.keep else ""
        _report(run, result, kept)
        if wanted.live and run.output.for_people:
            _trade_live(run, people.trader, fund)
        for client in (people.admin, people.owner, people.trader, people.viewer):
            client.close()


def _live_source(run: Invocation, venue: str) -> dict[str, str]:
    """Settings of a daemon with the venue's live candles, from the person's own address for it if they gave one."""
    settings = {"ALPHAPULSE_MARKET__SOURCES": json.dumps({venue: "ccxt"})}
    if given := run.environment.get(_SOURCE_URLS):
        try:
            urls: object = json.loads(given)
        except ValueError:
            urls = None
        if not isinstance(urls, dict):
            raise InvalidInput(
                f"{_SOURCE_URLS} is not a JSON object",
                field="market.source_urls",
                fix='Write it as {"binance": "https://..."}.',
            )
        own = {name: url for name, url in cast("dict[str, object]", urls).items() if name == venue}
        settings[_SOURCE_URLS] = json.dumps(own)
    return settings


def provision(admin: Context) -> People:
    """The tenant with one member of each role. The passwords are nobody's: they are made up and forgotten."""
    platform = Client(admin.target())
    passwords = {role: secrets.token_urlsafe(24) for role in (Role.TENANT_ADMIN, Role.TRADER, Role.VIEWER)}
    policy = platform.people.policy().version
    platform.tenants.provision("Demo Capital", "enterprise", _email(Role.TENANT_ADMIN), slug=TENANT)

    def join(invitation: Invitation, role: Role) -> None:
        token = (invitation.link or "").partition("#")[2]
        platform.people.accept(token, passwords[role], policy)

    join(platform.people.invite_admin(TENANT), Role.TENANT_ADMIN)
    owner = _logged_in(admin, Role.TENANT_ADMIN, passwords)
    for role in (Role.TRADER, Role.VIEWER):
        join(owner.people.invite(_email(role), role), role)
    trader, viewer = (_logged_in(admin, role, passwords) for role in (Role.TRADER, Role.VIEWER))
    return People(platform, owner, trader, viewer)


def _email(role: Role) -> str:
    return f"{role.value.replace('_', '-')}@demo.example"


def _logged_in(admin: Context, role: Role, passwords: dict[Role, str]) -> Client:
    with Client(Context(admin.url, ca=admin.ca).target()) as nobody:
        token = nobody.access.login(_email(role), passwords[role], TENANT)
    return Client(Context(admin.url, token=token.token, ca=admin.ca).target())


def _market(run: Invocation, admin: Client, wanted: Wanted) -> tuple[str, str, str]:
    """Venue, symbols and timeframe to trade, after the candles are where they must be."""
    if wanted.live:
        return wanted.live, _DOLLAR_SYMBOLS.get(wanted.live, _SYMBOLS), wanted.timeframe
    if not wanted.files:
        return SYNTHETIC, _SYMBOLS, wanted.timeframe
    series = [report.series for report in import_all(run, admin, list(wanted.files))]
    kinds = {(item.venue, item.timeframe.value, item.symbol.partition("/")[2]) for item in series}
    if len(kinds) > 1:
        raise InvalidInput(
            "the candles are of several venues, timeframes or quote currencies",
            field="candles",
            fix="Give files of one venue, one timeframe and one quote currency: a fund trades in one.",
        )
    return series[0].venue, ",".join(dict.fromkeys(item.symbol for item in series)), series[0].timeframe.value


def _replay(run: Invocation, trader: Client, fund: Fund, bars: int) -> Replay:
    """Waits until the replay is finished. Raises Defect when it failed, Unavailable when it makes no progress."""
    replay = trader.funds.start_replay(fund.name, bars=bars)
    if replay.bars_total < bars:
        run.output.note(
            f"There are {replay.bars_total:,} bars, not {bars:,}: replaying from {written(replay.start_at)} on."
        )
    return watch(run, trader, fund.name, replay, lambda failed: Defect(f"the replay failed: {failed.error}"))


def _result(viewer: Client, fund: Fund, wanted: Wanted, seconds: float) -> Result:
    from alphapulse.cli.demo_report import Result

    return Result(
        fund=fund,
        performance=viewer.portfolio.performance(fund.name),
        history=viewer.portfolio.history(fund.name, limit=1000).items,
        decisions=viewer.portfolio.decisions(fund.name, limit=_LOOK_BACK).items,
        source=SYNTHETIC if not (wanted.files or wanted.live) else wanted.live or "imported",
        seconds=seconds,
    )


def _report(run: Invocation, result: Result, kept: str) -> None:
    from alphapulse.cli.demo_report import as_object, pairs, print_report

    if run.output.for_people:
        print_report(run.output.console(), result, kept)
    else:
        run.output.record(as_object(result), pairs(result), key=f"{result.performance.total_return:.6f}")


def _keep(run: Invocation, daemon: Throwaway, owner: Client, admin: Context) -> str:
    """Leaves the daemon running, and writes a context for it; its name."""
    key = owner.keys.create("demo", Role.TENANT_ADMIN)
    as_owner, as_platform = (
        Context(admin.url, api_key=key.key or "", ca=admin.ca),
        Context(admin.url, api_key=admin.api_key, ca=admin.ca),
    )
    files.edit(run.contexts_file, lambda known: files.with_context(known, TENANT, as_owner))
    files.edit(run.contexts_file, lambda known: files.with_context(known, f"{TENANT}-platform", as_platform))
    daemon.kept = True
    run.output.note(
        f"\nThe daemon goes on at {admin.url}, with its data in {daemon.data}."
        f"\nStop it with: alphapulse daemon stop --data-directory {daemon.data}"
        f"\nThen nothing is left after: alphapulse context remove {TENANT} --yes"
        f" && alphapulse context remove {TENANT}-platform --yes && rm -r {daemon.folder}"
    )
    return TENANT


def _trade_live(run: Invocation, trader: Client, fund: Fund) -> None:
    """The fund decides at every closed bar from here on; its events are shown until Ctrl-C."""
    import asyncio

    from alphapulse.cli.journal import follow_events

    trader.funds.start(fund.name)
    run.output.note(f"\n{fund.name} now decides on every closed {fund.config.timeframe} bar. Ctrl-C ends it.\n")
    asyncio.run(follow_events(run, trader.target, None, None))
