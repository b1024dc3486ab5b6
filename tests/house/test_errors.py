"""Every error has one HTTP status, one exit code and a stable code of its own."""

from __future__ import annotations

from collections.abc import Container, Iterable

from alphapulse import errors
from alphapulse.cli.render import EXIT_CODE
from alphapulse.daemon.problems import HTTP_STATUS
from alphapulse.errors import AlphaPulseError

#: What architecture.md lists; 0 is success, 2 and 130 belong to the shell's conventions.
EXIT_CODES = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 130})


def tree() -> list[type[AlphaPulseError]]:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, AlphaPulseError)]
    return [item for item in found if item is not AlphaPulseError]


def unmapped(classes: Iterable[type[AlphaPulseError]], table: Container[object]) -> list[str]:
    """Classes that neither stand in the table nor below one that does; the root alone is no answer."""
    return [
        item.__name__
        for item in classes
        if not any(rung in table for rung in item.__mro__ if rung is not AlphaPulseError)
    ]


def test_every_error_has_an_http_status() -> None:
    assert unmapped(tree(), HTTP_STATUS) == []
    assert all(400 <= status <= 599 for status in HTTP_STATUS.values())


def test_every_error_has_an_exit_code() -> None:
    assert unmapped(tree(), EXIT_CODE) == []
    assert set(EXIT_CODE.values()) <= EXIT_CODES


def test_the_tables_name_errors_of_the_tree_only() -> None:
    known = {AlphaPulseError, *tree()}
    assert {item for item in HTTP_STATUS if item not in known} == set()
    assert {item for item in EXIT_CODE if issubclass(item, AlphaPulseError) and item not in known} == set()


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [item.code for item in tree()]
    assert len(set(codes)) == len(codes)


def test_the_drawing_at_the_top_shows_every_error() -> None:
    assert [item.__name__ for item in tree() if f" {item.__name__} " not in f"{errors.__doc__}"] == []


def test_a_class_without_a_status_is_found() -> None:
    class Orphan(AlphaPulseError):
        pass

    assert unmapped([Orphan], HTTP_STATUS) == ["Orphan"]
