"""``make bench [ONLY=name]``: every figure as one JSON line; exit 1 when one does not hold.

A benchmark is a module of this folder with ``run() -> list[dict]``, its figures made by ``figures.at_most`` and
``figures.at_least``; ``ONLY`` is the module's name.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys

import tests.benchmarks
from tests.benchmarks.figures import Figure

NOT_BENCHMARKS = frozenset({"__main__", "figures", "load", "served"})


def names() -> list[str]:
    found = (module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__))
    return [name for name in found if name not in NOT_BENCHMARKS and not name.startswith("_")]


def run(name: str) -> bool:
    """Prints the figures of one benchmark; whether all of them hold."""
    module = importlib.import_module(f"tests.benchmarks.{name}")
    figures: list[Figure] = module.run()
    for figure in figures:
        print(json.dumps(figure, default=str), flush=True)
    return all(figure["holds"] for figure in figures)


def run_each(chosen: list[str]) -> int:
    """Each in a process of its own, so that none inherits what another loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    codes = [
        subprocess.run([sys.executable, "-m", "tests.benchmarks", name], check=False, env=environment).returncode
        for name in chosen
    ]
    return int(any(codes))


def main(arguments: list[str]) -> int:
    known = names()
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    if len(arguments) == 1:
        return 0 if run(arguments[0]) else 1
    return run_each(arguments or known)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
