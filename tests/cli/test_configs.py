"""`funds config`: a configuration as single values."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from alphapulse.cli.configs import flat, read_config, with_values
from alphapulse.cli.funds import first_config
from alphapulse.domain import wire
from alphapulse.domain.funds import AgentChoice, ConfigVersion
from alphapulse.errors import InvalidInput
from tests.cli import examples
from tests.cli.conftest import Fleet, RunCli
from tests.cli.scripted import Reply, ScriptedDaemon

CONFIG = examples.fund().config


def test_values_are_set_by_their_dotted_keys() -> None:
    changed = with_values(
        CONFIG,
        [
            "limits.max_position_fraction=0.3",
            "agents.trend.weight=2",
            "universe=BTC/USDT",
            "agents.trend.enabled=false",
        ],
    )
    assert changed.limits.max_position_fraction == Decimal("0.3")
    assert changed.universe == ("BTC/USDT",)
    assert changed.agents[0] == AgentChoice("trend", {"fast": 12.0, "slow": 48.0}, 2.0, enabled=False)


def test_a_parameter_that_was_left_at_its_default_can_be_set() -> None:
    assert with_values(CONFIG, ["agents.mean_reversion.parameters.window=20"]).agents[1].parameters == {"window": 20.0}


@pytest.mark.parametrize(
    "value",
    ["nonsense=1", "limits.max=1", "agents.ghost.weight=1", "limits=1", "agents.trend.weight=heavy", "limits"],
)
def test_an_unknown_key_or_a_value_that_does_not_fit_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        with_values(CONFIG, [value])


def test_every_value_that_is_shown_can_be_set_again() -> None:
    assert with_values(CONFIG, [f"{key}={value}" for key, value in flat(CONFIG).items()]) == CONFIG


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_whole_configuration_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"fund.{suffix}"
    text = json.dumps(wire.encode(CONFIG))
    if suffix == "toml":
        limits = "\n".join(
            f'{key} = "{value}"' for key, value in wire.encode(CONFIG.limits).items() if key != "max_data_age_bars"
        )
        text = (
            'venue = "synthetic"\ntimeframe = "4h"\nbase_currency = "USDT"\nuniverse = ["BTC/USDT", "ETH/USDT"]\n'
            'agents = [{name = "trend", parameters = {fast = 12, slow = 48}}, {name = "mean_reversion", weight = 2}]\n'
            f"[limits]\n{limits}\n"
        )
    file.write_text(text)
    assert read_config(file) == CONFIG


@pytest.mark.parametrize("text", ["{", '{"venue": "x"}', '{"venue": 3}'])
def test_a_file_that_holds_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fund.json"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_config(file)
    with pytest.raises(InvalidInput):
        read_config(tmp_path / "none.json")


def test_a_first_configuration_takes_weights_and_derives_the_currency() -> None:
    made = first_config("binance", "btc/usd, eth/usd", "1h", "trend=2,mean_reversion")
    assert (made.base_currency, made.universe) == ("USD", ("BTC/USD", "ETH/USD"))
    assert [choice.weight for choice in made.agents] == [2.0, 1.0]
    with pytest.raises(InvalidInput):
        first_config("binance", None, "1h", "trend")


def test_a_diff_shows_what_changed_and_nothing_else(cli: RunCli, scripted: ScriptedDaemon) -> None:
    newer = with_values(CONFIG, ["limits.price_collar=0.05"])
    scripted.on("GET /funds/demo", examples.fund())
    scripted.on("GET /funds/demo/configs/2", ConfigVersion(2, CONFIG, "ann@example.com", examples.AT))
    scripted.on("GET /funds/demo/configs/3", ConfigVersion(3, newer, "ann@example.com", examples.AT))
    environment = {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "k"}
    shown = cli("funds", "config", "diff", "demo", "--output", "jsonl", env=environment)
    assert json.loads(shown.out) == {"key": "limits.price_collar", "before": "0.1", "after": "0.05"}


@pytest.mark.timeout(240)
def test_a_change_that_changes_nothing_says_so_and_makes_no_version(fleet: Fleet) -> None:
    found = fleet.json("trader", "funds", "show", "demo")
    collar = f"limits.price_collar={found['config']['limits']['price_collar']}"
    (trend,) = (choice for choice in found["config"]["agents"] if choice["name"] == "trend")
    name, value = next(iter(trend["parameters"].items()))
    changes = (
        ("funds", "config", "set", "demo", collar),
        ("agents", "configure", "trend", f"{name}={value:g}", "--weight", f"{trend['weight']:g}"),
    )
    for change in changes:
        assert f"version {found['config_version']}, unchanged" in fleet.run("trader", *change).out
    changed = fleet.run("trader", "funds", "config", "set", "demo", "limits.price_collar=0.07").out
    assert f"version {found['config_version'] + 1}, from the next bar on" in changed
    assert fleet.run("trader", "funds", "config", "rollback", "demo", str(found["config_version"])).code == 0


def test_a_fund_without_candles_is_made_with_a_warning_for_people_alone(cli: RunCli, scripted: ScriptedDaemon) -> None:
    nothing = Reply(404, {"code": "not_found", "detail": "no candles", "status": 404})
    late = Reply(503, {"code": "unavailable", "detail": "the venue is down", "status": 503})
    scripted.on("POST /funds", examples.fund())
    create = ("funds", "create", "demo", "--venue", "synthetic", "--universe", "BTC/USDT,ETH/USDT")
    environment = {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "k"}
    scripted.on("GET /market/candles", {"items": [], "next": None}, nothing)
    ended = cli(*create, env=environment)
    warning = "warning: ETH/USDT has no 4h candles on synthetic; import some before the fund is started or replayed"
    assert (ended.code, warning in ended.err, "BTC/USDT" in ended.err) == (0, True, False)
    scripted.on("GET /market/candles", late)
    assert (cli(*create, env=environment).err, cli(*create, "--json", env=environment).err) == ("", "")
