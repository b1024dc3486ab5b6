"""A running daemon against its own description: requests made up from the schema, good and bad, by schemathesis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from tests.daemon.processes import Daemon, daemon
from tests.rates import GENEROUS_ENVIRONMENT

#: What may lie in the same schema and still be refused: a venue that is none, a price 100 x off, a fund of nobody. The
#: description tells shapes; which values mean something is the domain's to say, with 4xx and the field's name.
_NOT_PROMISED = "positive_data_acceptance"


@pytest.mark.timeout(300)
def test_no_request_made_up_from_the_description_fails_or_surprises(urls: DatabaseUrls, tmp_path: Path) -> None:
    with daemon(urls, GENEROUS_ENVIRONMENT) as served:
        _walk(served, served.start(), tmp_path)


def _walk(served: Daemon, url: str, folder: Path) -> None:
    # Filters name what ends the login or the daemon's own work while others are at it.
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{url}/openapi.json"),
        *("--checks", "all", "--exclude-checks", _NOT_PROMISED),
        *("--max-examples", "4", "--seed", "1", "--workers", "2", "--phases", "examples,coverage,fuzzing"),
        *("--exclude-path", "/auth/logout", "--header", f"Authorization: Bearer {served.key}"),
        *("--suppress-health-check", "all", "--no-color"),
    ]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "CI": "1"}, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "Tested: " in run.stdout
    assert served.logged("request raised what it should not") == []
