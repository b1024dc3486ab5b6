"""How far something is: a bar on stderr where a person watches a terminal, silence everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from alphapulse.cli.invocation import Invocation

T = TypeVar("T")


class Meter(Protocol):
    def moved(self, done: int, total: int, note: str = "") -> None:
        """note: what is being done, after the bar."""
        ...


class _Silence:
    def moved(self, done: int, total: int, note: str = "") -> None:
        """Nobody watches."""


class _Shown:
    """task and display belong to rich."""

    def __init__(self, display: Progress, task: TaskID) -> None:
        self._display = display
        self._task = task

    def moved(self, done: int, total: int, note: str = "") -> None:
        self._display.update(self._task, completed=done, total=total or None, note=note)


@contextmanager
def bar(run: Invocation, title: str) -> Generator[Meter]:
    """A bar while the block runs."""
    if not (run.output.for_people and sys.stderr.isatty()):
        yield _Silence()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=run.output.console(stderr=True), transient=True) as display:
        yield _Shown(display, display.add_task(title, total=None, note=""))


@contextmanager
def waiting(run: Invocation, text: str) -> Generator[None]:
    """While the block runs: a sign that moves on a terminal, one line elsewhere. For what has no known length."""
    if not (run.output.for_people and sys.stderr.isatty()):
        run.output.note(text)
        yield
        return
    with run.output.console(stderr=True).status(text):
        yield


def steps(run: Invocation, items: Sequence[T], title: str) -> Iterator[T]:
    """The items, with a bar that moves when each is done."""
    with bar(run, title) as shown:
        for done, item in enumerate(items):
            shown.moved(done, len(items), str(item)[-40:])
            yield item
        shown.moved(len(items), len(items))
