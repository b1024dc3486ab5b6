"""What the documentation says of commands and files is true."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alphapulse.cli.commands import COMMANDS
from alphapulse.cli.lazy import everywhere, real
from alphapulse.domain import risk
from tests.house.sources import ROOT, expect_none

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
COMMAND = re.compile(r"^ {4}(alphapulse .+)$|`(alphapulse [^`]+)`|^    make demo ARGS=\"(.+)\"", re.MULTILINE)
CODE = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')


def pages() -> list[Path]:
    written = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in written if page.parent.name != "reference"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def broken_links(page: Path, text: str) -> list[str]:
    """Links to files that are not there, and to headings that the file does not have."""
    found: list[str] = []
    for target, heading in LINK.findall(text):
        if target.startswith(("http:", "https:")):
            continue
        path = (page.parent / target).resolve()
        if not path.exists():
            found.append(f"{name(page)}: {target}")
        elif heading and heading.removeprefix("#") not in headings(path.read_text(encoding="utf-8")):
            found.append(f"{name(page)}: {target}{heading}")
    return found


def headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command line in a page; ``a|b`` stands for either."""
    for shown, inline, made in COMMAND.findall(text):
        line: str = shown or inline or f"alphapulse demo {made}"
        if line.startswith("alphapulse[") or "COMMAND" in line:
            continue
        words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
        while words and words[0].startswith("--"):  # options of every command may stand in front
            del words[: 2 if words[0] in {"--tenant", "--context", "--output"} else 1]
        yield words


def wrong(words: list[str]) -> str:
    """What is wrong with a command line; empty when such a command with such options exists."""
    if not words:
        return ""
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    found: Any = real(words[0])
    rest = words[1:]
    while getattr(found, "commands", {}) and rest:
        chosen = [word for word in rest[0].split("|") if word not in found.commands]
        if chosen:
            return f"no command {words[0]} {chosen[0]}"
        found, rest = found.commands[rest[0].split("|")[0]], rest[1:]
    known = {option for one in [*found.params, *everywhere()] for option in [*one.opts, *one.secondary_opts]}
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in {*known, "--help"}]
    return f"{' '.join(words)}: no option {unknown[0]}" if unknown else ""


def test_every_link_leads_somewhere() -> None:
    expect_none([line for page in pages() for line in broken_links(page, page.read_text(encoding="utf-8"))])


def test_every_command_in_the_documentation_exists_with_its_options() -> None:
    found = [
        f"{name(page)}: {problem}"
        for page in pages()
        for words in commands(page.read_text(encoding="utf-8"))
        if (problem := wrong(words))
    ]
    expect_none(found)


def test_every_page_is_reachable_from_the_index() -> None:
    linked = {ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "template.md"}
    for page in (ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "README.md"):
        targets = LINK.findall(page.read_text(encoding="utf-8"))
        linked |= {(page.parent / target).resolve() for target, _ in targets}
    expect_none([name(page) for page in sorted((ROOT / "docs").rglob("*.md")) if page not in linked])


def test_every_denial_is_explained() -> None:
    page = (ROOT / "docs" / "explanation" / "risk-checks.md").read_text(encoding="utf-8")
    codes = set(CODE.findall(Path(f"{risk.__file__}").read_text(encoding="utf-8")))
    expect_none(sorted(code for code in codes if f"| `{code}` |" not in page))


def test_the_first_lines_of_the_readme_are_the_two_commands() -> None:
    lines = [line.strip() for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert [line.partition(" #")[0].strip() for line in lines[1:3]] == ["make demo", "make test"]


def test_a_dead_link_and_a_command_that_does_not_exist_are_found() -> None:
    page = ROOT / "docs" / "made-up.md"
    assert broken_links(page, "[a](nowhere.md) [b](index.md#nothing) [c](index.md#reference)") == [
        "docs/made-up.md: nowhere.md",
        "docs/made-up.md: index.md#nothing",
    ]
    problems = [wrong(words) for words in commands("`alphapulse orders plaice`\n    alphapulse orders list --fond x\n")]
    assert problems == [
        "no command orders plaice",
        "orders list --fond x: no option --fond",
    ]
