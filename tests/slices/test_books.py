"""The read side: worth, history, performance, reasons, and whether the books agree with the fills."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from alphapulse.domain.market import Timeframe
from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import OrderStatus
from alphapulse.errors import Conflict, InvalidInput, NotFound
from tests.conftest import MakeTenant
from tests.fakes.candles import START, path
from tests.fakes.floor import FIRST, SYMBOLS, Floor, buy, configuration, hours, sell

ANN = "ann@example.com"
HOUR = timedelta(hours=1)
ONE_SIDED_ENTRY = (
    "INSERT INTO ledger SELECT tenant_id, gen_random_uuid(), 1, fund_id, kind, account, asset, amount, at, recorded_at"
    " FROM ledger WHERE kind = 'capital' AND line = 1"
)
FORGED_FILL = (
    "INSERT INTO fills SELECT tenant_id, order_id, 'forged', fund_id, 99, symbol, side, price, quantity, fee,"
    " fee_asset, at, recorded_at FROM fills WHERE side = 'buy'"
)


async def trade(floor: Floor, bars: int = 12) -> Floor:
    fund = await floor.fund()
    for at in hours(FIRST, bars):
        await floor.cycle.run(fund, at)
    return floor


async def test_a_new_fund_is_worth_its_capital(floor: Floor) -> None:
    fund = await floor.fund()
    summary = await floor.books.summary(floor.tenant_id, "alpha")
    assert (summary.equity, summary.cash, summary.positions) == (fund.capital, fund.capital, ())
    assert summary.as_of is None


async def test_a_summary_adds_up(floor: Floor) -> None:
    await trade(floor)
    fund = await floor.funds.get(floor.tenant_id, "alpha")
    summary = await floor.books.summary(floor.tenant_id, "alpha")
    assert summary.equity == fund.capital + summary.realised + summary.unrealised - summary.fees
    assert summary.equity == summary.cash + summary.gross_exposure
    assert summary.gross_exposure == sum((holding.value for holding in summary.positions), ZERO)
    assert all(holding.quantity > 0 for holding in summary.positions)


async def test_a_summary_is_valued_at_the_newest_candle(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.desk.place(fund, buy("10"), key="k", as_of=FIRST, actor=ANN)
    summary = await floor.books.summary(floor.tenant_id, "alpha")
    assert summary.as_of == START + 48 * HOUR


async def test_while_a_fund_is_replayed_it_is_valued_at_the_bar_it_has_come_to(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST)
    await floor.replays.start(floor.tenant_id, "alpha", bars=12)
    summary = await floor.books.summary(floor.tenant_id, "alpha")
    assert summary.as_of == START + 37 * HOUR


async def test_a_fund_is_found_by_its_id_too(floor: Floor) -> None:
    fund = await floor.fund()
    assert (await floor.books.summary(floor.tenant_id, str(fund.id))).name == "alpha"


async def test_the_total_of_a_tenant_is_the_sum_of_its_funds(floor: Floor) -> None:
    first, second = await floor.fund(), await floor.fund("beta", capital="5000")
    await floor.desk.place(first, buy("10"), key="k", as_of=FIRST, actor=ANN)
    await floor.desk.place(second, buy("20", symbol="ETH/USDT"), key="k", as_of=FIRST, actor=ANN)
    parts = [await floor.books.summary(floor.tenant_id, name) for name in ("alpha", "beta")]
    total = await floor.books.summary(floor.tenant_id)
    assert total.fund_id is None
    assert total.equity == sum((part.equity for part in parts), ZERO)
    assert {holding.symbol for holding in total.positions} == set(SYMBOLS)
    assert len(await floor.books.positions(floor.tenant_id)) == 2


async def test_a_tenant_without_funds_has_an_empty_total(floor: Floor) -> None:
    assert (await floor.books.summary(floor.tenant_id)).equity == ZERO


async def test_funds_of_two_currencies_have_no_total(floor: Floor) -> None:
    other = Floor(floor.database, floor.tenant_id, floor.root / "euro")
    other.store({"BTC/EUR": path([90.0] * 5)})
    await floor.fund()
    await other.fund("euro", config=replace(configuration(), universe=("BTC/EUR",), base_currency="EUR"))
    with pytest.raises(Conflict, match="EUR, USDT"):
        await other.books.summary(floor.tenant_id)


async def test_nothing_of_another_tenant_can_be_read(floor: Floor, make_tenant: MakeTenant) -> None:
    await trade(floor, 3)
    orders, _ = await floor.books.orders(floor.tenant_id)
    rival = await make_tenant(floor.database, "rival")
    books = floor.books
    for read in (
        books.summary(rival, "alpha"),
        books.history(rival, "alpha"),
        books.performance(rival, "alpha"),
        books.verify(rival, "alpha"),
        books.decisions(rival, "alpha"),
        books.order(rival, orders[0].id),
        books.explain(rival, orders[0].id),
        books.orders(rival, fund="alpha"),
    ):
        with pytest.raises(NotFound):
            await read
    assert (await books.orders(rival), await books.fills(rival)) == (([], None), ([], None))


async def test_history_is_oldest_first_and_from_a_time_or_the_newest(floor: Floor) -> None:
    await trade(floor, 6)
    everything = [point.at for point in await floor.books.history(floor.tenant_id, "alpha")]
    newest = [point.at for point in await floor.books.history(floor.tenant_id, "alpha", limit=2)]
    since = await floor.books.history(floor.tenant_id, "alpha", since=FIRST + 2 * HOUR, limit=2)
    assert everything == hours(FIRST, 6)
    assert newest == everything[-2:]
    assert [point.at for point in since] == everything[2:4]


async def test_performance_counts_what_happened(floor: Floor) -> None:
    await trade(floor)
    result = await floor.books.performance(floor.tenant_id, "alpha")
    fund = await floor.funds.get(floor.tenant_id, "alpha")
    orders = await floor.rows(fund, "orders")
    points = await floor.books.history(floor.tenant_id, "alpha")
    assert (result.bars, result.decisions, result.orders) == (12, 12, len(orders))
    assert (result.fills, result.denied) == (len(await floor.rows(fund, "fills")), 0)
    assert result.total_return == pytest.approx(float(points[-1].equity / fund.capital) - 1)
    assert result.benchmark_return == pytest.approx(float(points[-1].benchmark / fund.capital) - 1)
    assert 0 < result.max_drawdown < 1
    assert result.fees > 0
    assert result.ledger_balanced


async def test_the_performance_of_a_fund_that_never_ran_is_flat(floor: Floor) -> None:
    await floor.fund()
    result = await floor.books.performance(floor.tenant_id, "alpha")
    assert (result.bars, result.total_return, result.max_drawdown, result.sharpe) == (0, 0.0, 0.0, None)


async def test_orders_and_fills_are_paged_without_repeats_or_holes(floor: Floor) -> None:
    await trade(floor)
    fund = await floor.funds.get(floor.tenant_id, "alpha")
    seen_orders, seen_fills = [], []
    page, cursor = await floor.books.orders(floor.tenant_id, fund="alpha", limit=4)
    while page:
        seen_orders += page
        page, cursor = (
            await floor.books.orders(floor.tenant_id, fund="alpha", limit=4, before=cursor) if cursor else ([], None)
        )
    fills, cursor = await floor.books.fills(floor.tenant_id, fund="alpha", limit=4)
    while fills:
        seen_fills += fills
        fills, cursor = (
            await floor.books.fills(floor.tenant_id, fund="alpha", limit=4, before=cursor) if cursor else ([], None)
        )
    assert len({order.id for order in seen_orders}) == len(seen_orders) == len(await floor.rows(fund, "orders"))
    assert len({fill.order_id for fill in seen_fills}) == len(seen_fills) == len(await floor.rows(fund, "fills"))
    assert [order.at for order in seen_orders] == sorted((order.at for order in seen_orders), reverse=True)


async def test_orders_by_hand_of_one_bar_are_listed_by_creation(floor: Floor) -> None:
    alpha, beta = await floor.fund("alpha"), await floor.fund("beta")
    placed: list[UUID] = []
    for i, fund in enumerate((alpha, alpha, beta, alpha, beta, alpha)):
        floor.clock.advance(timedelta(seconds=1))
        order = await floor.desk.place(
            fund, buy(str(i + 1)), key=f"k{i}", as_of=FIRST if fund is alpha else FIRST + 3 * HOUR, actor="ann"
        )
        placed.append(order.order.id)
    newest = placed[::-1]
    assert [order.id for order in (await floor.books.orders(floor.tenant_id))[0]] == newest
    assert [fill.order_id for fill in (await floor.books.fills(floor.tenant_id))[0]] == newest
    of_alpha = [placed[i] for i in (5, 3, 1, 0)]
    assert [order.id for order in (await floor.books.orders(floor.tenant_id, fund="alpha"))[0]] == of_alpha
    paged: list[UUID] = []
    cursor: str | None = None
    while True:
        page, cursor = await floor.books.orders(floor.tenant_id, limit=2, before=cursor)
        paged += [order.id for order in page]
        if cursor is None:
            break
    assert paged == newest


async def test_orders_of_one_instant_are_listed_by_creation(floor: Floor) -> None:
    fund = await floor.fund()
    placed = [
        (await floor.desk.place(fund, buy(str(i + 1)), key=f"k{i}", as_of=FIRST, actor="ann")).order.id
        for i in range(6)
    ]
    for name in (None, "alpha"):
        assert [order.id for order in (await floor.books.orders(floor.tenant_id, fund=name))[0]] == placed[::-1]
        assert [fill.order_id for fill in (await floor.books.fills(floor.tenant_id, fund=name))[0]] == placed[::-1]


async def test_live_orders_are_those_that_may_still_trade(floor: Floor) -> None:
    fund = await floor.fund()
    resting = await floor.desk.place(fund, buy("1", limit="95"), key="k1", as_of=FIRST, actor="ann")
    await floor.desk.place(fund, buy("2"), key="k2", as_of=FIRST, actor="ann")
    for name in (None, "alpha"):
        live, _ = await floor.books.orders(floor.tenant_id, fund=name, status="live")
        assert [order.id for order in live] == [resting.order.id]


@pytest.mark.parametrize("before", ["", "x", "!!!!", "MjAyNA==", "a" * 500])
async def test_a_cursor_that_is_none_is_refused_by_name(floor: Floor, before: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await floor.books.orders(floor.tenant_id, before=before)
    assert caught.value.field == "before"


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_a_limit_out_of_range_is_refused_by_name(floor: Floor, limit: int) -> None:
    await floor.fund()
    for read in (
        floor.books.orders(floor.tenant_id, limit=limit),
        floor.books.fills(floor.tenant_id, limit=limit),
        floor.books.decisions(floor.tenant_id, "alpha", limit=limit),
        floor.books.history(floor.tenant_id, "alpha", limit=limit),
    ):
        with pytest.raises(InvalidInput) as caught:
            await read
        assert caught.value.field == "limit"


async def test_an_order_is_explained_back_to_the_agents_numbers(floor: Floor) -> None:
    await trade(floor, 3)
    orders, _ = await floor.books.orders(floor.tenant_id, fund="alpha", status=OrderStatus.FILLED)
    explained = await floor.books.explain(floor.tenant_id, orders[-1].id)
    assert explained.fund == "alpha"
    assert explained.decision is not None
    view = next(view for view in explained.decision.symbols if view.symbol == explained.order.request.symbol)
    assert set(view.votes[0].signal.numbers) == {"move"}
    assert view.consensus.conviction is not None
    planned = next(each for each in explained.decision.orders if each.order_id == explained.order.id)
    assert planned.verdict.checks == explained.checks
    assert [step.event for step in explained.history] == ["intend", "fill_rest"]
    assert explained.history[0].detail == "by cycle"
    assert sum((fill.quantity for fill in explained.fills), ZERO) == explained.order.filled_quantity


async def test_an_order_by_hand_is_explained_without_a_decision(floor: Floor) -> None:
    fund = await floor.fund()
    placed = await floor.desk.place(fund, buy("10"), key="k", as_of=FIRST, actor=ANN)
    explained = await floor.books.explain(floor.tenant_id, placed.order.id)
    assert explained.decision is None
    assert explained.history[0].detail == f"by {ANN}"


async def test_an_order_that_nobody_placed_is_not_found(floor: Floor) -> None:
    with pytest.raises(NotFound):
        await floor.books.explain(floor.tenant_id, uuid4())


async def test_decisions_are_newest_first(floor: Floor) -> None:
    await trade(floor, 4)
    found = await floor.books.decisions(floor.tenant_id, "alpha", limit=3)
    assert [decision.at for decision in found] == hours(FIRST + HOUR, 3)[::-1]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ("UPDATE balances SET amount = amount + 1 WHERE asset = 'USDT'", "balance USDT: stored"),
        ("DELETE FROM balances WHERE asset = 'BTC'", "balance BTC: stored 0, derived 6"),
        ("UPDATE positions SET quantity = quantity * 2", "position BTC/USDT quantity: stored 12, derived 6"),
        ("UPDATE positions SET cost = cost + 0.000001", "position BTC/USDT cost"),
        ("UPDATE positions SET fees = 0", "position BTC/USDT fees: stored 0"),
        ("UPDATE orders SET filled_quantity = 1 WHERE side = 'sell'", "filled 1, its fills sum to 4"),
        (ONE_SIDED_ENTRY, "not to zero"),
        (FORGED_FILL, "is missing"),
    ],
)
async def test_a_damaged_book_is_found_out(floor: Floor, damage: str, line: str) -> None:
    fund = await floor.fund()
    await floor.desk.place(fund, buy("10"), key="k1", as_of=FIRST, actor=ANN)
    await floor.desk.place(fund, sell("4"), key="k2", as_of=FIRST + HOUR, actor=ANN)
    assert await floor.books.verify(floor.tenant_id, "alpha") == []
    async with floor.database.transaction(floor.tenant_id) as tx:
        assert await tx.run(damage)  # pyright: ignore[reportArgumentType] a literal of the table above
    found = await floor.books.verify(floor.tenant_id, "alpha")
    assert any(line in each for each in found), found
    assert not (await floor.books.performance(floor.tenant_id, "alpha")).ledger_balanced


async def test_a_fund_in_days_reads_its_prices_in_days(floor: Floor) -> None:
    config = replace(configuration(), timeframe=Timeframe.D1)
    await floor.fund(config=config)
    assert (await floor.books.summary(floor.tenant_id, "alpha")).equity == Decimal(10_000)
