"""Which daemon is meant, and as whom."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alphapulse.cli.context import (
    Context,
    Contexts,
    choose,
    contexts_file,
    edit,
    load,
    login_name,
    seconds_left,
    with_context,
    without_context,
)
from alphapulse.daemon.context_file import announce
from alphapulse.errors import InvalidInput, Misconfigured, NotFound, Unauthenticated
from tests.cli.conftest import RunCli

TWO = Contexts("a", {"a": Context("http://127.0.0.1:1", api_key="ka"), "b": Context("https://b.example", token="tb")})


def test_a_file_that_is_not_there_knows_no_daemon(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Contexts("", {})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "contexts.toml"
    odd = Context("https://x.example", token='q"\\\n\x7f\u00e9', ca="/a b/c.pem", tenant="acme")
    edit(path, lambda known: with_context(known, "odd", odd))
    assert load(path) == Contexts("odd", {"odd": odd})


def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "contexts.toml"
    edit(path, lambda _: TWO)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in tmp_path.iterdir()) == [".contexts.lock", "contexts.toml"]


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "contexts.toml"
    edit(path, lambda _: TWO)
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="can be read by others") as raised:
        load(path)
    assert "chmod 600" in raised.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "current = ",
        "contexts = 3",
        "[contexts.a]\nkey = 'x'",
        "[contexts.a]\nurl = 3",
        "[contexts.a]\nurl = ''",
        "[contexts]\na = 1",
        "\ufffe",
    ],
)
def test_a_damaged_file_is_named_and_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contexts.toml"
    path.write_bytes(text.encode("utf-16") if text == "\ufffe" else text.encode())
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match=str(path)):
        edit(path, lambda known: known)
    assert path.read_bytes() == before


def test_the_command_line_goes_before_the_environment_and_that_before_the_file() -> None:
    assert choose(TWO, {}, None).api_key == "ka"
    assert choose(TWO, {"ALPHAPULSE_CONTEXT": "b"}, None).token == "tb"
    assert choose(TWO, {"ALPHAPULSE_CONTEXT": "b"}, "a").api_key == "ka"


def test_a_key_of_the_environment_replaces_the_contexts_login() -> None:
    chosen = choose(TWO, {"ALPHAPULSE_CONTEXT": "b", "ALPHAPULSE_API_KEY": "env"}, None)
    assert chosen.target().credential == "env"


def test_a_contexts_key_is_never_sent_to_another_address() -> None:
    assert choose(TWO, {"ALPHAPULSE_URL": "https://evil.example"}, None).target().credential == ""
    assert choose(TWO, {"ALPHAPULSE_URL": "http://127.0.0.1:1/"}, None).target().credential == "ka"


def test_scripts_need_no_file_at_all() -> None:
    environment = {"ALPHAPULSE_URL": "https://c.example/", "ALPHAPULSE_API_KEY": "k", "ALPHAPULSE_TENANT": "acme"}
    target = choose(Contexts("", {}), environment, None).target()
    assert (target.url, target.credential, target.tenant) == ("https://c.example", "k", "acme")


def test_an_unknown_name_is_met_with_the_known_ones() -> None:
    with pytest.raises(NotFound) as raised:
        choose(TWO, {}, "c")
    assert "a, b" in raised.value.fix


def test_nothing_known_means_log_in() -> None:
    with pytest.raises(Unauthenticated):
        choose(Contexts("", {}), {}, None)


@pytest.mark.parametrize("name", ["", "a b", "a.b", 'a"]', "x" * 41])
def test_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        with_context(TWO, name, Context("http://localhost"))


def test_forgetting_the_current_context_leaves_none_current() -> None:
    assert without_context(TWO, "a") == Contexts("", {"b": TWO.named["b"]})


def test_only_a_token_runs_out() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert seconds_left(Context("u", token="t", expires_at="2026-01-01T00:10:00Z"), now) == 600
    assert seconds_left(Context("u", token="t"), now) is None
    assert seconds_left(Context("u", api_key="k", expires_at="2026-01-01T00:10:00Z"), now) is None


def test_the_file_follows_xdg() -> None:
    assert contexts_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/alphapulse/contexts.toml")
    assert contexts_file({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == Path("/h/.config/alphapulse/contexts.toml")


def test_what_the_daemon_announces_is_a_context_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "contexts.toml"
    announce(path, tmp_path, "local", "http://127.0.0.1:8470", "ap_x")
    edit(path, lambda known: with_context(known, "b", TWO.named["b"]))
    announce(path, tmp_path, "local", "http://127.0.0.1:9000", "ap_x")
    own = Context("http://127.0.0.1:9000", api_key="ap_x", directory=str(tmp_path))
    assert load(path) == Contexts("local", {"local": own, "b": TWO.named["b"]})


def test_every_data_directory_has_a_context_of_its_own_and_the_current_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "contexts.toml"
    announce(path, Path("/a/main"), "local", "http://127.0.0.1:1", "key-main")
    assert announce(path, Path("/a/D2"), "", "http://127.0.0.1:2", "key-2") == "local-D2"
    assert announce(path, Path("/b/D2"), "", "http://127.0.0.1:3", "key-3") == "local-D2-2"
    assert announce(path, Path("/a/D2"), "", "http://127.0.0.1:4", "key-2") == "local-D2"
    known = load(path)
    assert known.current == "local"
    keys = {name: (one.url[-1], one.api_key) for name, one in known.named.items()}
    assert keys == {"local": ("1", "key-main"), "local-D2": ("4", "key-2"), "local-D2-2": ("3", "key-3")}


def test_a_credential_that_the_daemon_knows_stays_and_any_other_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "contexts.toml"
    edit(path, lambda _: Contexts("local", {"local": Context("http://127.0.0.1:1", api_key="mine")}))
    announce(path, tmp_path, "local", "http://127.0.0.1:1", "admins", keep="mine")
    assert load(path).named["local"].api_key == "mine"
    announce(path, tmp_path, "local", "http://127.0.0.1:1", "admins")
    assert load(path).named["local"].api_key == "admins"


def test_a_login_never_goes_over_somebody_elses_context() -> None:
    def sam(address: str, tenant: str) -> Context:
        return Context("http://h", token="t", user=address, user_tenant=tenant)

    first = sam("sam@a.example", "alpha")
    known = Contexts("sam-h", {"sam-h": first})
    assert login_name(known, "sam-h", first) == "sam-h"
    assert login_name(known, "sam-h", sam("sam@b.example", "beta")) == "sam-h-beta"
    assert login_name(TWO, "a", Context(TWO.named["a"].url, user="x@y.z")) == "a-y-z"


def test_contexts_are_added_used_listed_and_removed(cli: RunCli) -> None:
    assert cli("context", "add", "one", "http://127.0.0.1:1").code == 0
    assert (
        cli(
            "context", "add", "two", "https://two.example", "--api-key-stdin", stdin=f"ap_0123456789ab_{'s' * 43}\n"
        ).code
        == 0
    )
    assert cli("context", "use", "two").code == 0
    shown = cli("context", "list")
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [["one", "http://127.0.0.1:1"], ["*", "two"]]
    assert "sss" not in shown.out
    assert cli("context", "remove", "two").code == 8
    assert cli("context", "remove", "two", "--yes").code == 0
    assert cli("context", "list", "-q").out == "one\n"
    assert cli("context", "use", "two").code == 5


def test_the_list_says_as_whom_and_in_which_tenant(cli: RunCli, home: Path) -> None:
    url, public = "http://127.0.0.1:1", "ap_0123456789ab"
    named = {
        "admin": Context(url, api_key=f"{public}_{'x' * 43}", tenant="acme"),
        "sam": Context(url, token="t.o.k", user="sam@a.example", user_tenant="alpha"),
        "old": Context(url, user="ann@a.example", user_tenant="alpha"),
    }
    edit(home / "config" / "alphapulse" / "contexts.toml", lambda _: Contexts("sam", named))
    shown = cli("context", "list").out
    assert [line.split() for line in shown.splitlines()] == [
        ["NAME", "DAEMON", "AS", "TENANT"],
        ["admin", url, "api", "key", public, "acme"],
        ["*", "sam", url, "login", "sam@a.example", "alpha"],
        ["old", url, "-", "-"],
    ]
    whole = cli("context", "list", "--json").out
    assert [word in shown + whole for word in ("xxx", "t.o.k")] == [False, False]


def test_a_context_takes_no_key_that_cannot_be_one(cli: RunCli) -> None:
    for given, said in (("\n", "is empty"), ("garbage\n", "is not an API key")):
        refused = cli("context", "add", "ci", "http://127.0.0.1:1", "--api-key-stdin", stdin=given)
        assert refused.code == 2, refused
        assert said in refused.err
        assert "garbage" not in refused.err
    assert cli("context", "list", "-q").out == ""
