"""What a person gets who installs the wheel outside this checkout."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.acceptance.clean_install import ROOT, CleanInstall, build_wheel, install

#: What ``demo --json`` promises.
DEMO_KEYS = {
    *("bars", "decisions", "orders", "fills", "denied", "fees", "symbols", "agents", "wall_s"),
    *("total_return", "benchmark_return", "max_drawdown", "sharpe", "equity_start", "equity_end", "ledger_balanced"),
}
DAEMONS = ("fastapi", "numpy", "psycopg", "sqlalchemy", "pydantic")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanInstall:
    return install(wheel, tmp_path_factory.mktemp("whole"), extra="daemon")


@pytest.fixture(scope="module")
def client_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanInstall:
    return install(wheel, tmp_path_factory.mktemp("client"))


def test_the_wheel_carries_configuration_migrations_and_styles(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    wanted = {f"alphapulse/_config/{path.name}" for path in (ROOT / "config").glob("*.toml")}
    wanted |= {
        path.relative_to(ROOT).as_posix()
        for ending in ("*.sql", "*.mako", "*.tcss", "*.py")
        for path in (ROOT / "alphapulse").rglob(ending)
    }
    assert wanted - names == set()
    assert "alphapulse/_config/alphapulse.toml" in names
    assert "alphapulse/py.typed" in names


def test_the_wheel_carries_nothing_of_the_checkout_besides(wheel: Path) -> None:
    roots = {name.partition("/")[0] for name in ZipFile(wheel).namelist()}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"alphapulse"}


@pytest.mark.timeout(200)
def test_the_demo_runs_from_the_installed_wheel(whole: CleanInstall) -> None:
    done = whole.run("demo", "--bars", "50", "--json", timeout=180)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) >= DEMO_KEYS
    assert told["bars"] == 50
    assert told["ledger_balanced"] is True


def test_the_installed_package_uses_its_own_configuration(whole: CleanInstall) -> None:
    done = whole.call(str(whole.python), "-c", "from alphapulse.packaged import packaged_config as p; print(p())")
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(whole.python.parents[1])
    assert (folder / "alphapulse.toml").is_file()


def test_a_client_only_install_shows_help_and_version(client_only: CleanInstall) -> None:
    helped = client_only.run("--help")
    assert helped.returncode == 0, helped.stderr
    assert "orders" in helped.stdout
    assert client_only.run("--version").stdout.startswith("alphapulse ")


def test_a_client_only_install_has_none_of_the_daemons_packages(client_only: CleanInstall) -> None:
    done = client_only.call(
        str(client_only.python),
        "-c",
        f"import importlib.util as u; print([name for name in {DAEMONS} if u.find_spec(name)])",
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", [["daemon", "run"], ["daemon", "start"], ["demo", "--bars", "50"], ["doctor"]], ids=" ".join
)
def test_a_client_only_install_says_what_the_daemon_needs(client_only: CleanInstall, command: list[str]) -> None:
    done = client_only.run(*command)
    assert done.returncode == 1, done.stderr
    assert "alphapulse[daemon]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_only_install_says_when_no_daemon_answers(client_only: CleanInstall) -> None:
    done = client_only.run("portfolio", "show")
    assert done.returncode in {4, 9}, done.stderr
    assert "Traceback" not in done.stderr
