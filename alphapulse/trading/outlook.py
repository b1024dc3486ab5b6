"""What a fund sees at one closed bar: prices, signals, consensus, target weights; and the decision that follows.

``look`` fetches, ``decide`` is pure: the same outlook and the same books give the same decision, so it is printed
by a plan and stored by a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING

from alphapulse.domain.decisions import Decision, DecisionState, PlannedOrder, SymbolView
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Instrument, Series
from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import Order, decision_id
from alphapulse.domain.portfolio import Price
from alphapulse.domain.risk import judge_plan
from alphapulse.domain.signals import Consensus, Signal, Vote, consensus
from alphapulse.domain.sizing import size
from alphapulse.errors import NotFound, TryAgain
from alphapulse.quant.allocation import allocate, volatility_bars
from alphapulse.quant.indicators import realised_volatility
from alphapulse.trading import intents
from alphapulse.trading.book_store import Standing

if TYPE_CHECKING:
    from alphapulse.agents.service import Agents
    from alphapulse.market.service import Market


@dataclass(frozen=True, slots=True)
class Outlook:
    """views: of the universe, in its order, then of what is held outside it. weights: only of symbols with a view."""

    at: datetime
    prices: Mapping[str, Price]
    instruments: Mapping[str, Instrument]
    views: tuple[SymbolView, ...]
    weights: Mapping[str, float]


async def look(market: Market, agents: Agents, fund: Fund, as_of: datetime, held: Iterable[str]) -> Outlook:
    """held: symbols with a position; one that left the universe is given a weight of zero, so it is sold."""
    config = fund.config
    departed = sorted(set(held) - set(config.universe))
    instruments = await market.instruments(config.venue)
    prices = await market.prices(config.venue, [*config.universe, *departed], config.timeframe, as_of)
    votes = await _votes(agents, fund, as_of)
    volatilities, problems = await _volatilities(market, fund, as_of)
    agreed = {symbol: consensus(votes[symbol]) for symbol in config.universe}
    convictions = {symbol: agreed[symbol].conviction for symbol in config.universe if symbol in prices}
    weights = allocate(config.allocator, config.allocator_parameters, convictions, volatilities)
    down = market.problems().get(config.venue, "")
    views: list[SymbolView] = []
    for symbol in config.universe:
        price = prices.get(symbol)
        problem = problems.get(symbol) or _problem(price, agreed[symbol], as_of, weighed=symbol in weights, down=down)
        views.append(
            SymbolView(
                symbol=symbol,
                price=price and price.value,
                votes=votes[symbol],
                consensus=agreed[symbol],
                volatility=volatilities.get(symbol),
                weight=weights.get(symbol, 0.0),
                problem=problem,
            )
        )
    for symbol in departed:
        price = prices.get(symbol)
        weights[symbol] = 0.0
        nobody = Consensus(None, 0, 0)
        views.append(SymbolView(symbol, price and price.value, (), nobody, None, 0.0, "left the universe: sold"))
    return Outlook(as_of, prices, instruments, tuple(views), weights)


async def _votes(agents: Agents, fund: Fund, as_of: datetime) -> dict[str, tuple[Vote, ...]]:
    config = fund.config
    choices = [choice for choice in config.agents if choice.enabled]
    requests = [
        (choice.name, choice.parameters, Series(config.venue, symbol, config.timeframe))
        for symbol in config.universe
        for choice in choices
    ]
    signals: list[Signal] = await agents.signals(requests, as_of) if requests else []
    many = len(choices)
    return {
        symbol: tuple(
            Vote(signal, choice.weight)
            for signal, choice in zip(signals[index * many : (index + 1) * many], choices, strict=True)
        )
        for index, symbol in enumerate(config.universe)
    }


async def _volatilities(market: Market, fund: Fund, as_of: datetime) -> tuple[dict[str, float | None], dict[str, str]]:
    """Per symbol, and why a symbol has none. One symbol without candles does not stop the others."""
    config = fund.config
    bars = volatility_bars(config.allocator_parameters)
    found: dict[str, float | None] = {}
    problems: dict[str, str] = {}
    for symbol in config.universe:
        try:
            window = await market.window(Series(config.venue, symbol, config.timeframe), as_of, bars + 1)
        except (NotFound, TryAgain) as error:
            problems[symbol] = error.message
            continue
        value = float(realised_volatility(window.close, bars)[-1]) if len(window) > bars else float("nan")
        found[symbol] = value if isfinite(value) else None
    return found, problems


def _problem(price: Price | None, agreed: Consensus, as_of: datetime, *, weighed: bool, down: str) -> str:
    """Why nothing is traded on the symbol; empty when something may be. down: why the venue's source is silent."""
    why = f": {down}" if down else ""
    if price is None:
        return f"no candles{why}"
    if price.at < as_of:
        return f"no candle closed at {as_of:%Y-%m-%d %H:%M} UTC, the newest one at {price.at:%Y-%m-%d %H:%M}{why}"
    if agreed.conviction is None:
        return "no agent had a view: the position is left alone"
    return "" if weighed else "volatility is not known yet: the position is left alone"


def decide(fund: Fund, outlook: Outlook, standing: Standing, live: tuple[Order, ...]) -> Decision:
    """Size what the weights ask for, judge it all, and say why; nothing is stored and nothing is sent."""
    situation = intents.situate(
        fund, standing, outlook.at, outlook.instruments, outlook.prices, live=live, manual=False
    )
    requests = size(outlook.weights, situation.portfolio, outlook.instruments, fund.config.limits, live)
    identity = decision_id(fund.id, outlook.at)
    orders = tuple(
        PlannedOrder(request, verdict, intents.order_id(fund.id, str(identity), request.leg))
        for request, verdict in zip(requests, judge_plan(requests, situation), strict=True)
    )
    return Decision(
        id=identity,
        fund_id=fund.id,
        at=outlook.at,
        state=DecisionState.MADE,
        config_version=fund.config_version,
        equity=situation.portfolio.equity,
        allocator=fund.config.allocator,
        symbols=outlook.views,
        orders=orders,
        reason=_reason(orders, live, situation.halts),
    )


def missed(fund: Fund, at: datetime, reason: str) -> Decision:
    """The record of a bar for which nothing was decided."""
    return Decision(
        id=decision_id(fund.id, at),
        fund_id=fund.id,
        at=at,
        state=DecisionState.MISSED,
        config_version=fund.config_version,
        equity=ZERO,
        allocator=fund.config.allocator,
        symbols=(),
        orders=(),
        reason=reason,
    )


def _reason(orders: tuple[PlannedOrder, ...], live: tuple[Order, ...], halts: tuple[str, ...]) -> str:
    if not orders:
        return "nothing to trade: every difference to the target is below the threshold or cannot be traded now"
    approved = sum(order.verdict.approved for order in orders)
    parts = [f"{approved} of {len(orders)} orders passed every check"]
    if live:
        parts.append(f"{len(live)} older orders are still on their way")
    if halts:
        parts.append("trading is halted")
    return "; ".join(parts)
