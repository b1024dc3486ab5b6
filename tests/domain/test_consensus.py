"""What several agents agree on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.signals import Signal, Vote, consensus


def test_conviction_is_weighted_by_weight_and_confidence() -> None:
    agreed = consensus((vote(1.0, confidence=0.5, weight=2.0), vote(-1.0, confidence=1.0, weight=3.0)))
    assert agreed.conviction == pytest.approx((1.0 * 1.0 - 1.0 * 3.0) / 4.0)


def test_an_abstention_enters_neither_sum() -> None:
    alone = consensus((vote(0.8),))
    with_silent = consensus((vote(0.8), vote(None, weight=100.0)))
    assert with_silent.conviction == alone.conviction
    assert (with_silent.votes_cast, with_silent.votes_abstained) == (1, 1)


def test_abstaining_is_not_voting_neutral() -> None:
    neutral = consensus((vote(0.8), vote(0.0)))
    silent = consensus((vote(0.8), vote(None)))
    assert neutral.conviction == pytest.approx(0.4)
    assert silent.conviction == pytest.approx(0.8)


def test_when_everybody_abstains_there_is_no_view() -> None:
    assert consensus((vote(None), vote(None))).conviction is None
    assert consensus(()).conviction is None


def test_votes_without_any_weight_or_confidence_give_no_view() -> None:
    assert consensus((vote(1.0, confidence=0.0), vote(1.0, weight=0.0))).conviction is None


unit = st.floats(-1, 1)
share = st.floats(0, 1)


@given(st.lists(st.tuples(st.none() | unit, share, st.floats(0, 1000)), max_size=8))
@example([(0.125, 2.220446049250313e-16, 2.537925668279981e-303)])
def test_the_consensus_lies_between_the_votes_that_were_cast(cast: list[tuple[float | None, float, float]]) -> None:
    agreed = consensus(tuple(vote(conviction, confidence=c, weight=w) for conviction, c, w in cast))
    given_votes = [conviction for conviction, _, _ in cast if conviction is not None]
    if agreed.conviction is not None:
        assert min(given_votes) - 1e-9 <= agreed.conviction <= max(given_votes) + 1e-9
    assert agreed.votes_cast + agreed.votes_abstained == len(cast)


def vote(conviction: float | None, *, confidence: float = 1.0, weight: float = 1.0) -> Vote:
    series = Series("binance", "BTC/USDT", Timeframe.H4)
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Vote(Signal("trend", "{}", series, at, conviction, confidence, ""), weight)
