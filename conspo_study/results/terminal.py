"""Output for terminals and files whose encoding has no place for all that is said."""

from __future__ import annotations

import codecs
import sys
import unicodedata

_POLICY = "conspo-look-alike"
_LOOK_ALIKES = {
    "±": "+-",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "†": "+",
    "★": "*",
    "•": "*",
    "·": ".",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "µ": "u",
    "α": "alpha",
    "β": "beta",
    "τ": "tau",
    "─": "-",
    "━": "-",
    "═": "=",
    "│": "|",
    "┃": "|",
    "║": "|",
}


def speak_plainly() -> None:
    """Let standard output and error write look-alikes, `+-` for `±`, where their encoding lacks a
    character, instead of raising UnicodeEncodeError; the code point where nothing looks like it."""
    codecs.register_error(_POLICY, _replaced)
    for stream in (sys.stdout, sys.stderr):
        # A notebook's streams, or those of whoever captures output, take any text.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_POLICY)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(_look_alike, text)), error.end


def _look_alike(character: str) -> str:
    """ASCII, which every encoding of a terminal holds."""
    if character in _LOOK_ALIKES:
        return _LOOK_ALIKES[character]
    if "\u2500" <= character <= "\u259f":  # lines of boxes, blocks of bars
        return "+" if character <= "\u257f" else "#"
    if "\u2800" <= character <= "\u28ff":  # dots that turn while one waits
        return "*"
    bare = unicodedata.normalize("NFD", character)[0]  # a letter without its accent
    return bare if bare.isascii() else character.encode("ascii", "backslashreplace").decode()
