"""What rich prints into a file or a pipe, without the blanks that it fills cells with."""

from __future__ import annotations

import re
from typing import Any, TextIO

_TRAILING = re.compile(r" +(?=\n)")


class Trimmed:
    """A stream whose lines end with their last word: the blanks that rich fills cells with mean nothing in a file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(_TRAILING.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
