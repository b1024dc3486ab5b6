"""docs/reference says what the code says, and says it of everything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from alphapulse.settings import PREFIX, Settings
from alphapulse.tables import METADATA
from tests.house.sources import ROOT, expect_none


def reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "docs" / "generate.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def all_settings(model: type[BaseModel], path: str = "") -> list[tuple[str, str]]:
    """Every setting's dotted name and its description."""
    found: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        full = f"{path}.{name}" if path else name
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += all_settings(inner, full)
        else:
            found.append((full, field.description or ""))
    return found


def undocumented(model: type[BaseModel], page: str) -> list[str]:
    found: list[str] = []
    for name, description in all_settings(model):
        variable = PREFIX + name.upper().replace(".", "__")
        if not description or f"| `{name}` | `{variable}` |" not in page:
            found.append(name)
    return found


def test_the_reference_is_what_the_code_generates() -> None:
    done = generate(ROOT, "--check")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make docs` and commit docs/reference"


def test_a_stale_page_is_reported_and_named(tmp_path: Path) -> None:
    for name in ("docs", "alphapulse", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    page = tmp_path / "docs" / "reference" / "permissions.md"
    page.write_text(page.read_text(encoding="utf-8").replace("funds.read", "funds.reed"), encoding="utf-8")
    done = generate(tmp_path, "--check")
    assert done.returncode == 1, done.stderr
    assert "permissions.md stale" in done.stdout


def test_every_setting_is_described_and_in_the_reference() -> None:
    assert undocumented(Settings, reference("settings.md")) == []


def test_a_setting_without_a_description_is_found() -> None:
    class Bare(BaseModel):
        port: int
        host: str = Field("", description="Where to listen.")

    assert undocumented(Bare, "| `host` | `ALPHAPULSE_HOST` | | Where to listen. |") == ["port"]


def test_every_table_is_explained() -> None:
    page = reference("tables.md")
    names = [name.removeprefix("app.") for name in METADATA.tables]
    expect_none([f"{name}: write a #: comment above it" for name in names if not explained(name, page)])


def test_a_table_without_a_comment_is_found() -> None:
    page = "## orders\n\nEvery order, denied ones too.\n\n| column |\n\n## fills\n\n\n\n| column | type | more |\n"
    assert explained("orders", page)
    assert not explained("fills", page)


def explained(name: str, page: str) -> bool:
    """Whether a sentence stands between the table's heading and its columns."""
    section = page.partition(f"## {name}\n")[2].partition("|")[0]
    return len(section.split()) >= 4
