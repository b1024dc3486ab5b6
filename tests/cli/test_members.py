"""Members, invitations, passwords and the privacy policy on the command line of a real daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import ENTRY, Fleet, plain_environment
from tests.daemon.waiting import eventually_now

pytestmark = pytest.mark.timeout(240)

POLICY = "2026-11-01"


def joined(fleet: Fleet, email: str, password: str, role: str = "viewer") -> None:
    """Invited by the owner, and a member by the link that was shown."""
    link = fleet.json("owner", "members", "invite", email, "--role", role)["link"]
    accept = ("members", "accept", link, "--password-stdin", "--accept-policy", POLICY)
    done = fleet.run("nobody", *accept, stdin=f"{password}\n")
    assert done.code == 0, done.err


def test_a_member_joins_logs_in_and_leaves(fleet: Fleet) -> None:
    email = f"{uuid4().hex[:8]}@demo.example"
    password = uuid4().hex
    joined(fleet, email, password)
    assert email in fleet.run("owner", "members", "list").out
    assert email in fleet.run("owner", "members", "invitations").out
    entered = fleet.run(
        "owner",
        *("login", fleet.url, "--email", email, "--password-stdin", "--name", "joiner", "--json"),
        stdin=f"{password}\n",
    )
    assert entered.code == 0, entered.err
    assert json.loads(entered.out)["role"] == "viewer"
    assert fleet.json("joiner", "whoami")["actor"] == email
    assert fleet.run("joiner", "logout").code == 0
    assert fleet.run("joiner", "whoami").code == 4
    assert fleet.run("owner", "members", "remove", email, "--yes").code == 0
    again = fleet.run("owner", "login", fleet.url, "--email", email, "--password-stdin", "--yes", stdin=f"{password}\n")
    assert again.code == 4
    assert "e-mail or password is wrong" in again.err


def test_an_invitation_is_withdrawn_or_wants_the_policy_and_a_password(fleet: Fleet) -> None:
    email = f"{uuid4().hex[:8]}@demo.example"
    link = fleet.json("owner", "members", "invite", email)["link"]
    asked = fleet.run("nobody", "members", "accept", link)
    assert (asked.code, f"--accept-policy {POLICY}" in asked.err) == (8, True)
    asked = fleet.run("nobody", "members", "accept", link, "--accept-policy", POLICY)
    assert (asked.code, "--password-stdin" in asked.err) == (8, True)
    short = ("members", "accept", link, "--accept-policy", POLICY, "--password-stdin")
    assert fleet.run("nobody", *short, stdin="short\n").code == 2
    assert fleet.run("owner", "members", "withdraw", email).code == 0
    gone = fleet.run("nobody", *short, stdin=f"{uuid4().hex}\n")
    assert (gone.code, "withdrawn" in gone.err) == (7, True)
    cut = fleet.run("nobody", "members", "accept", link.partition("#")[0] + "#")
    assert (cut.code, "whole link" in cut.err) == (2, True)


def test_a_new_password_is_typed_twice_at_a_terminal_after_the_policy_was_shown(fleet: Fleet) -> None:
    email, first = f"{uuid4().hex[:8]}@demo.example", uuid4().hex
    link = fleet.json("owner", "members", "invite", email)["link"]
    shown = typed(fleet, "owner", ["members", "accept", link], ["y", first, "something else", first, first])
    assert email in shown
    assert "Privacy policy" in shown
    assert first not in shown
    login = ("login", fleet.url, "--email", email, "--password-stdin", "--name", "typist")
    assert fleet.run("owner", *login, stdin=f"{first}\n").code == 0


def test_a_role_is_changed_and_the_tenant_handed_over_and_back(fleet: Fleet) -> None:
    email, password = f"{uuid4().hex[:8]}@demo.example", uuid4().hex
    joined(fleet, email, password)
    last = fleet.run("owner", "members", "role", "tenant-admin@demo.example", "viewer", "--yes")
    assert (last.code, "last admin" in last.err) == (7, True)
    assert fleet.json("owner", "members", "role", email, "trader", "--yes")["role"] == "trader"
    assert fleet.json("owner", "members", "transfer", email, "--yes")["role"] == "tenant_admin"
    assert fleet.run("owner", "members", "list").code == 6
    heir = ("login", fleet.url, "--email", email, "--password-stdin", "--name", "heir")
    assert fleet.run("owner", *heir, stdin=f"{password}\n").code == 0
    assert fleet.run("heir", "members", "transfer", "tenant-admin@demo.example", "--yes").code == 0
    assert fleet.run("owner", "members", "remove", email, "--yes").code == 0


def test_a_forgotten_password_is_set_anew_by_the_mailed_link(fleet: Fleet) -> None:
    email, first, second = f"{uuid4().hex[:8]}@demo.example", uuid4().hex, uuid4().hex
    joined(fleet, email, first)
    for address in (email, f"{uuid4().hex[:8]}@demo.example"):
        asked = fleet.run("owner", "password", "reset", "--email", address)
        assert (asked.code, address in asked.out) == (0, True)

    def mailed() -> str | None:
        texts = [plain_text(path) for path in (fleet.data / "mail").glob("*.eml")]
        found = [re.search(r"rst_[\w-]{43}", text) for text in texts if email in text]
        return next((match[0] for match in found if match), None)

    eventually_now(mailed)
    reset = ("password", "reset", "--token", mailed() or "", "--password-stdin")
    done = fleet.run("owner", *reset, stdin=f"{second}\n")
    assert done.code == 0, done.err
    assert fleet.run("owner", *reset, stdin=f"{second}\n").code == 7
    login = ("login", fleet.url, "--email", email, "--password-stdin", "--name", "back")
    assert fleet.run("owner", *login, stdin=f"{first}\n").code == 4
    assert fleet.run("owner", *login, stdin=f"{second}\n").code == 0


def plain_text(path: Path) -> str:
    """To whom a mail goes, and its text."""
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("plain",))
    return f"{mail['To']}\n{body.get_content() if body else ''}"


def test_the_policy_is_shown_and_sign_up_is_closed(fleet: Fleet) -> None:
    assert fleet.json("viewer", "policy", "show")["version"] == POLICY
    assert fleet.run("viewer", "policy", "accept", POLICY).code == 0
    wanted = ("signup", fleet.url, "--email", "a@b.example", "--slug", "newco", "--accept-policy", POLICY)
    closed = fleet.run("nobody", *wanted)
    assert (closed.code, "sign-up is closed" in closed.err) == (6, True)


def test_a_second_person_logs_in_to_a_context_of_their_own(fleet: Fleet) -> None:
    person, password = f"p{uuid4().hex[:8]}", uuid4().hex
    names: list[str] = []
    for domain in ("a.example", "b.example", "a.example"):
        login = ("login", fleet.url, "--email", f"{person}@{domain}", "--password-stdin", "-q")
        if len(names) < 2:
            joined(fleet, f"{person}@{domain}", password)
        names.append(fleet.run("owner", *login, stdin=f"{password}\n").out.strip())
    host = fleet.url.removeprefix("http://").replace(".", "-").replace(":", "-")
    assert names == [f"{person}-{host}", f"{person}-{host}-demo", f"{person}-{host}"]
    assert [fleet.json(name, "whoami")["actor"][-9:] for name in names[:2]] == ["a.example", "b.example"]
    here = ("login", "--email", f"{person}@b.example", "--password-stdin", "-q")
    assert fleet.run("trader", *here, stdin=f"{password}\n").out == "trader-demo\n"
    assert fleet.json("trader", "whoami")["actor"] == "trader@demo.example"


def typed(fleet: Fleet, person: str, arguments: list[str], lines: list[str]) -> str:
    """What the terminal showed; each line is typed when the command asks for it."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "--context", person, *arguments],
        env=plain_environment(fleet.home),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown, waiting = "", list(lines)
    try:
        while select.select([leader], [], [], 30)[0]:
            try:
                shown += os.read(leader, 4096).decode()
            except OSError:  # the other end is closed: the command has ended
                break
            if waiting and shown.endswith(": "):
                os.write(leader, f"{waiting.pop(0)}\n".encode())
                shown += "\n"
    finally:
        os.close(leader)
        assert process.wait(30) == 0, shown
    assert not waiting, shown
    return shown


def test_a_member_changes_their_password(fleet: Fleet) -> None:
    email, first, second = f"{uuid4().hex[:8]}@demo.example", uuid4().hex, uuid4().hex
    joined(fleet, email, first)
    login = ("login", fleet.url, "--email", email, "--password-stdin", "--name")
    for name in ("mine", "elsewhere"):
        assert fleet.run("owner", *login, name, stdin=f"{first}\n").code == 0
    assert fleet.run("mine", "password", "change").code == 8
    changed = fleet.run("mine", "password", "change", "--password-stdin", stdin=f"{first}\n{second}\n")
    assert changed.code == 0, changed.err
    assert fleet.run("mine", "whoami").code == 0
    assert fleet.run("elsewhere", "whoami").code == 4
    assert fleet.run("owner", *login, "again", stdin=f"{first}\n").code == 4
    assert fleet.run("owner", *login, "again", stdin=f"{second}\n").code == 0
