"""Text for people: values, counts, times and sizes, and untrusted text made safe to print."""

from __future__ import annotations

import codecs
import json
import math
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

LONGEST_TITLE = 160
"""Most characters of a title; a table of Ray's dashboard has no room for more."""
_LONGEST_LINE = 400
_IN_SECONDS, _IN_MINUTES = 90, 2 * 3600
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
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


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor: such characters are spelled out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_line(text: str) -> str:
    """First non-empty line, made printable; a line that ends with a colon is joined to the next."""
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line:
            lines.append(line.removeprefix("- ") if lines else line)
            if not line.endswith(":"):
                break
    return printable(" ".join(lines))


def setting_text(value: Any, digits: int = 6) -> str:
    """The value of a setting as it is typed: `null`, `true`, `["a", "b"]`, `0.3`, and text as it
    is. Text that would be read as another type is quoted, so that no two values look alike."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.{digits}g}"
    if isinstance(value, str) and not _is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def one_line(error: BaseException) -> str:
    """First non-empty line of an error's message, shortened; the name of its type if it has no
    message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:_LONGEST_LINE] if lines else type(error).__name__


def reason(error: Exception) -> str:
    """Why a file cannot be read, as a clause without the file's name and error numbers."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, the one that it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def title(*parts: str) -> str:
    """The parts in one line of printable text, shortened."""
    line = " ".join(" ".join(parts).split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


def number(value: float | None, spec: str = ".3f") -> str:
    """A number in a format such as `+.3f`; empty for None."""
    return "" if value is None else format(value, spec)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds > _IN_MINUTES:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > _IN_SECONDS else f"{seconds:.0f} s"


def size_text(count: float) -> str:
    """Bytes, in decimal units: `1.23 GB`."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


def counted(count: float, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def speak_plainly() -> None:
    """Let standard output and error replace characters that their encoding lacks by look-alikes,
    such as `+-` for `±`, or else by their code points, instead of raising UnicodeEncodeError."""
    codecs.register_error(_POLICY, _replaced)
    for stream in (sys.stdout, sys.stderr):
        # Streams of a notebook, or of a test that captures output, take any text.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_POLICY)


def _is_json(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:1] in ("[", "{", '"') or text in ("null", "true", "false")
    return True


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
