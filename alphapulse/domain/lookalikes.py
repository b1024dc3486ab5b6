"""Texts that people take for one another.

Names that must be unique are written in ASCII, where a few characters still look alike in common fonts; what comes
in other scripts is refused, and told which letter it imitates. After Unicode Technical Standard 39, reduced to the
letters that imitate ASCII.
"""

from __future__ import annotations

import unicodedata

#: ASCII that is read as other ASCII, in lower case.
_ALIKE = (("rn", "m"), ("vv", "w"), ("0", "o"), ("1", "l"), ("|", "l"))
#: What is drawn, and the ASCII letters it is read as: Cyrillic, Greek, Armenian, Latin beyond ASCII.
_DRAWN = (
    ("асԁеһіјӏорԛѕуѵԝх", "acdehijlopqsyvwx"),  # noqa: RUF001 -- the table of what is ambiguous
    ("αικνορυχ", "aikvopux"),
    ("օսոհ", "ounh"),  # noqa: RUF001 -- as above
    ("ıɑɡ", "iag"),  # noqa: RUF001 -- as above
)
_IMITATORS = {letter: plain for drawn, read in _DRAWN for letter, plain in zip(drawn, read, strict=True)}


def looks(text: str) -> str:
    """The same for texts that may be mistaken for one another; only good for comparing, not for showing."""
    bare = (letter for letter in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(letter))
    plain = "".join(_IMITATORS.get(letter, letter) for letter in bare)
    for drawn, read in _ALIKE:
        plain = plain.replace(drawn, read)
    return plain


def imitation(text: str) -> str:
    """The first character that is not ASCII, named, with what it imitates; empty for plain ASCII."""
    for letter in text:
        if not letter.isascii():
            plain = _IMITATORS.get(letter.casefold()) or unicodedata.normalize("NFKD", letter)[:1]
            name = unicodedata.name(letter, f"U+{ord(letter):04X}").lower()
            return f"{name}, which looks like {plain}" if plain.isascii() and plain.isprintable() else name
    return ""
