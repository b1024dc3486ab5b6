"""What every agent must keep, and what the two honest ones answer."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.agents.library.mean_reversion import MeanReversion
from alphapulse.agents.library.trend import Trend, crossover_deviation
from alphapulse.agents.protocol import Agent, View, evaluate, refusal
from alphapulse.agents.registry import checked, library_agents, load_registry
from alphapulse.domain.funds import AgentChoice
from alphapulse.domain.signals import AgentParameter
from alphapulse.errors import InvalidInput, Misconfigured, NotFound
from alphapulse.packaged import packaged_config
from alphapulse.quant.window import Window
from tests.candles import random_walk, window_of, without

AGENTS = library_agents()
#: Small enough that a short window gives many values.
SMALL = {
    "trend": {"fast": 2.0, "slow": 4.0, "sensitivity": 1.0},
    "mean_reversion": {"bars": 5.0, "rsi_period": 2.0, "entry": 0.5, "full": 2.0},
}
BARS = 60

every_agent = pytest.mark.parametrize("name", AGENTS)
paths = st.lists(st.floats(-0.2, 0.2), min_size=BARS, max_size=BARS).map(
    lambda steps: window_of(100.0 * np.exp(np.cumsum(steps)))
)


def changed_after(window: Window, at: int, factor: float) -> Window:
    """Prices and volumes after bar ``at`` multiplied, each bar by another power."""
    scale = np.ones(len(window))
    scale[at + 1 :] = factor ** np.arange(1, len(window) - at)
    return Window(
        window.timeframe,
        window.open_ms,
        window.open * scale,
        window.high * scale,
        window.low * scale,
        window.close * scale,
        window.volume * scale,
    )


def same(one: View, other: View, until: int) -> bool:
    pairs = [(one.conviction, other.conviction), (one.confidence, other.confidence)]
    pairs += [(one.numbers[name], other.numbers[name]) for name in one.numbers]
    return all(np.array_equal(left[:until], right[:until], equal_nan=True) for left, right in pairs)


def test_every_agent_of_the_library_is_tried_with_small_parameters() -> None:
    assert set(SMALL) == set(AGENTS)


@every_agent
@given(window=paths, at=st.integers(0, BARS - 2), factor=st.floats(0.9, 1.1))
def test_changing_bars_after_t_never_changes_the_value_at_t(name: str, window: Window, at: int, factor: float) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], SMALL[name], "parameters")
    before = evaluate(agent, window, parameters)
    assert same(before, evaluate(agent, changed_after(window, at, factor), parameters), at + 1)


@every_agent
@given(window=paths, at=st.integers(1, BARS))
def test_bars_that_are_not_there_yet_are_not_needed(name: str, window: Window, at: int) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], SMALL[name], "parameters")
    prefix = window.until(window.closed_at(at - 1))
    assert len(prefix) == at
    assert same(evaluate(agent, window, parameters), evaluate(agent, prefix, parameters), at)


@every_agent
@given(window=paths)
def test_one_lookback_of_bars_gives_the_value_that_the_whole_history_gives(name: str, window: Window) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], SMALL[name], "parameters")
    whole = evaluate(agent, window, parameters)
    part = evaluate(agent, window.tail(agent.lookback(parameters)), parameters)
    assert np.isnan(part.conviction[:-1]).all()
    assert part.conviction[-1] == pytest.approx(whole.conviction[-1], abs=1e-9, nan_ok=True)
    assert part.confidence[-1] == pytest.approx(whole.confidence[-1], abs=1e-9)


@every_agent
@given(window=paths)
def test_convictions_and_confidences_stay_in_their_ranges(name: str, window: Window) -> None:
    view = evaluate(AGENTS[name], window, checked(AGENTS[name], SMALL[name], "parameters"))
    known = view.conviction[np.isfinite(view.conviction)]
    assert (np.abs(known) <= 1.0).all()
    assert ((view.confidence >= 0.0) & (view.confidence <= 1.0)).all()
    assert len(view.conviction) == len(view.confidence) == len(window)


@every_agent
def test_an_agent_says_what_it_computes_and_whose_idea_it_is(name: str) -> None:
    agent = AGENTS[name]
    defaults = checked(agent, {}, "parameters")
    assert agent.name == name
    assert agent.formula
    assert agent.source
    assert all(each.minimum <= each.default <= each.maximum and each.meaning for each in agent.parameters)
    assert agent.lookback(defaults) > 1
    for parameter in agent.parameters:
        assert parameter.name.rstrip("_") in agent.formula


@every_agent
def test_the_rationale_names_the_numbers_that_decided(name: str) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], {}, "parameters")
    window = window_of(random_walk(agent.lookback(parameters), seed=4))
    view = evaluate(agent, window, parameters)
    numbers = {key: float(column[-1]) for key, column in view.numbers.items()}
    text = agent.explain(float(view.conviction[-1]), numbers)
    assert f"{abs(numbers['z']):.2f}" in text
    assert f"{view.conviction[-1]:+.2f}" in text


@every_agent
def test_a_price_that_never_moves_is_no_reason_to_trade(name: str) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], {}, "parameters")
    view = evaluate(agent, window_of(np.full(agent.lookback(parameters) + 5, 100.0)), parameters)
    assert np.isnan(view.conviction[-1]) or view.conviction[-1] == 0.0


@every_agent
def test_too_many_missing_bars_make_an_agent_abstain_until_they_leave_its_lookback(name: str) -> None:
    agent, parameters = AGENTS[name], checked(AGENTS[name], {}, "parameters")
    lookback = agent.lookback(parameters)
    window = window_of(random_walk(3 * lookback))
    assert np.isfinite(evaluate(agent, without(window, lookback + 10), parameters).conviction[-1])
    gap = without(window, *range(lookback + 10, lookback + 20))
    conviction = evaluate(agent, gap, parameters).conviction
    after = lookback + 10
    assert np.isfinite(conviction[after - 1])
    assert np.isnan(conviction[after : after + lookback - 1]).all()
    assert np.isfinite(conviction[after + lookback - 1 :]).all()


def test_what_is_missing_is_said() -> None:
    window = window_of(random_walk(100))
    newest = window.closed_at(-1)
    assert refusal(window, 100, newest) == ""
    assert "needs 101 candles, has 100" in refusal(window, 101, newest)
    assert "is missing" in refusal(window, 50, newest + window.timeframe.length)
    assert "5 of the last 55 candles are missing" in refusal(without(window, 70, 71, 72, 73, 74), 50, newest)
    assert "no candles" in refusal(window.tail(0), 50, newest)


def test_trend_is_sure_of_a_straight_rise_and_of_a_straight_fall() -> None:
    agent = Trend()
    parameters = checked(agent, {}, "parameters")
    steps = random_walk(200, volatility=0.002) / 100.0
    rise, fall = np.exp(np.arange(200) * 0.01) * steps, np.exp(np.arange(200) * -0.01) * steps
    up, down = (evaluate(agent, window_of(path), parameters) for path in (rise, fall))
    assert up.conviction[-1] > 0.8
    assert down.conviction[-1] < -0.8
    assert up.confidence[-1] > 0.8


def test_a_random_walk_has_a_crossover_of_unit_deviation() -> None:
    agent = Trend()
    view = agent.evaluate(window_of(random_walk(30_000, seed=11)), checked(agent, {}, "parameters"))
    assert np.nanstd(view.numbers["z"]) == pytest.approx(1.0, abs=0.1)
    assert crossover_deviation(8, 32) == pytest.approx(2.0, abs=0.6)


def test_trend_wants_the_fast_span_below_the_slow_one() -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(Trend(), {"fast": 32.0}, "parameters")
    assert refused.value.field == "parameters.fast"


def test_mean_reversion_buys_a_drop_and_sells_a_spike() -> None:
    agent = MeanReversion()
    parameters = checked(agent, {}, "parameters")
    calm = random_walk(120, volatility=0.002)
    for last, wanted in ((0.97, 1.0), (1.03, -1.0)):
        view = evaluate(agent, window_of(np.append(calm, calm[-1] * last)), parameters)
        assert view.conviction[-1] == pytest.approx(wanted, abs=0.35)


def test_mean_reversion_has_no_opinion_near_the_average() -> None:
    agent = MeanReversion()
    calm = window_of(100.0 + np.tile([0.1, -0.1], 60))
    view = evaluate(agent, calm, checked(agent, {"entry": 1.5}, "parameters"))
    assert view.conviction[-1] == 0.0


def test_the_packaged_defaults_fit_the_agents() -> None:
    registry = load_registry(tomllib.loads((packaged_config() / "agents.toml").read_text(encoding="utf-8")))
    assert {choice.name for choice in registry.defaults} == set(AGENTS)
    assert registry.problems == ()
    for choice in registry.defaults:
        assert registry.complete(choice) == choice


def test_a_choice_is_completed_and_checked() -> None:
    registry = load_registry({})
    assert registry.complete(AgentChoice("trend", {"fast": 5.0})).parameters == {
        "fast": 5.0,
        "slow": 32.0,
        "sensitivity": 1.0,
    }
    with pytest.raises(InvalidInput) as refused:
        registry.complete(AgentChoice("trend", {"fats": 5.0}))
    assert refused.value.field == "parameters.fats"
    with pytest.raises(InvalidInput) as refused:
        registry.complete(AgentChoice("trend", {"fast": 5.5}))
    assert refused.value.field == "parameters.fast"
    with pytest.raises(NotFound, match="astrology"):
        registry.complete(AgentChoice("astrology"))


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ("[agent.trend]", "agent"),
        ("[agents.astrology]", "agents.astrology"),
        ("[agents.trend]\nwieght = 1", "agents.trend.wieght"),
        ("[agents.trend]\nweight = -1", "agents.trend.weight"),
        ('[agents.trend]\nweight = "1"', "agents.trend.weight"),
        ("[agents.trend]\nenabled = 1", "agents.trend.enabled"),
        ("[agents.trend.parameters]\nfast = 1000", "agents.trend.parameters.fast"),
        ("[agents.trend.parameters]\nfast = true", "agents.trend.parameters.fast"),
        ("agents = 3", "agents"),
    ],
)
def test_a_wrong_default_is_refused_by_its_key(document: str, key: str) -> None:
    with pytest.raises(Misconfigured, match=key):
        load_registry(tomllib.loads(document))


def test_a_look_ahead_would_be_noticed() -> None:
    class Cheat(Trend):
        def evaluate(self, window: Window, parameters: dict[str, float]) -> View:  # pyright: ignore[reportIncompatibleMethodOverride]
            return View(np.full(len(window), np.tanh(window.close[-1] / 1e3)), np.ones(len(window)), {})

    cheat: Agent = Cheat()  # pyright: ignore[reportAssignmentType]
    window = window_of(random_walk(BARS))
    parameters = checked(cheat, SMALL["trend"], "parameters")
    before = evaluate(cheat, window, parameters)
    assert not same(before, evaluate(cheat, changed_after(window, 40, 1.1), parameters), 41)


def test_a_parameter_out_of_range_says_its_range_and_meaning() -> None:
    declared = AgentParameter("bars", 20.0, 5.0, 400.0, "Bars of the average.", whole=True)
    with pytest.raises(InvalidInput) as refused:
        checked(MeanReversion(parameters=(declared,)), {"bars": 4.0}, "agents.mean_reversion.parameters")
    assert "[5, 400]" in refused.value.message
    assert "Bars of the average." in refused.value.fix
