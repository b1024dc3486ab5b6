from __future__ import annotations

from itertools import pairwise
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.errors import InvalidInput
from alphapulse.quant.allocation import ALLOCATORS, allocate, complete_allocator, fill_to_cap, volatility_bars

DEFAULTS = complete_allocator("inverse_volatility", {})
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT")


def weights_of(
    convictions: dict[str, float | None], volatilities: dict[str, float | None], **parameters: float
) -> dict[str, float]:
    return allocate("inverse_volatility", DEFAULTS | parameters, convictions, volatilities)


def test_weights_are_inverse_to_volatility() -> None:
    weights = weights_of(
        {"A/U": 1.0, "B/U": 1.0, "C/U": 1.0}, {"A/U": 0.01, "B/U": 0.02, "C/U": 0.02}, cap=1.0, exposure=1.0
    )
    assert weights == pytest.approx({"A/U": 0.5, "B/U": 0.25, "C/U": 0.25})


def test_what_the_cap_takes_goes_to_the_others_in_proportion() -> None:
    # Shares 0.8, 0.1, 0.1; capped at 0.4, the others share 0.6.
    assert fill_to_cap([8.0, 1.0, 1.0], 1.0, 0.4) == pytest.approx([0.4, 0.3, 0.3])
    # Shares 0.5, 0.4, 0.1: the first overflow lifts the second over the cap as well.
    assert fill_to_cap([5.0, 4.0, 1.0], 1.0, 0.42) == pytest.approx([0.42, 0.42, 0.16])


def test_where_all_are_at_the_cap_the_rest_stays_in_cash() -> None:
    assert fill_to_cap([1.0, 2.0], 1.0, 0.3) == pytest.approx([0.3, 0.3])


def test_a_weak_conviction_holds_cash() -> None:
    assert weights_of({"A/U": 0.25}, {"A/U": 0.01}, cap=0.4, exposure=1.0) == pytest.approx({"A/U": 0.1})


def test_a_negative_conviction_exits_and_an_abstention_leaves_the_position_alone() -> None:
    weights = weights_of({"A/U": -0.5, "B/U": None, "C/U": 0.0}, {"A/U": 0.01, "B/U": 0.01, "C/U": 0.01})
    assert weights == {"A/U": 0.0, "C/U": 0.0}


@pytest.mark.parametrize("volatility", [None, nan, 0.0, 1e-12])
def test_without_a_usable_volatility_there_is_no_view(volatility: float | None) -> None:
    assert weights_of({"A/U": 1.0}, {"A/U": volatility}) == {}


def test_an_exit_needs_no_volatility() -> None:
    assert weights_of({"A/U": -1.0}, {}) == {"A/U": 0.0}


@given(
    views=st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(st.floats(-1.0, 1.0), st.floats(1e-6, 10.0)), min_size=1),
    cap=st.floats(0.01, 1.0),
    exposure=st.floats(0.01, 1.0),
)
def test_weights_are_never_negative_above_the_cap_or_above_the_exposure(
    views: dict[str, tuple[float, float]], cap: float, exposure: float
) -> None:
    weights = weights_of(
        {symbol: view[0] for symbol, view in views.items()},
        {symbol: view[1] for symbol, view in views.items()},
        cap=cap,
        exposure=exposure,
    )
    assert set(weights) == set(views)
    assert all(0.0 <= weight <= cap + 1e-12 for weight in weights.values())
    assert sum(weights.values()) <= exposure + 1e-12


@given(raw=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8), cap=st.floats(0.05, 1.0))
def test_all_that_fits_under_the_cap_is_handed_out_in_order_of_size(raw: list[float], cap: float) -> None:
    shares = fill_to_cap(raw, 1.0, cap)
    assert sum(shares) == pytest.approx(min(1.0, cap * len(raw)))
    ranked = [share for _, share in sorted(zip(raw, shares, strict=True))]
    assert all(left <= right + 1e-12 for left, right in pairwise(ranked))


def test_an_unknown_allocator_parameter_or_value_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput) as refused:
        complete_allocator("magic", {})
    assert refused.value.field == "allocator"
    assert "inverse_volatility" in refused.value.fix
    with pytest.raises(InvalidInput) as refused:
        complete_allocator("inverse_volatility", {"kap": 1.0})
    assert refused.value.field == "allocator_parameters.kap"
    for parameters in ({"cap": 0.0}, {"cap": nan}, {"volatility_bars": 30.5}, {"volatility_bars": 10**400}):
        with pytest.raises(InvalidInput) as refused:
            complete_allocator("inverse_volatility", parameters)
        assert refused.value.field == f"allocator_parameters.{next(iter(parameters))}"


def test_every_allocator_is_complete_by_default() -> None:
    for name in ALLOCATORS:
        assert volatility_bars(complete_allocator(name, {})) >= 5
