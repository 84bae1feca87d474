"""Reads the rows of a file: JSON lines or one JSON array, UTF-8, plain or compressed with gzip."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conspo_study.untrusted import StrangeFile, read_regular

MAX_UNPACKED = 256 << 20
"""Maximum size of a compressed file's content, in bytes: a small file can unpack to a disk full."""
MAX_STORED = 2 << 30
"""Maximum size of a file, in bytes."""
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks; those of UTF-32 begin or end with them."""
_OTHER_FORMATS = {
    b"PAR1": "a Parquet file: write it as JSON lines, with "
    "`pandas.read_parquet(...).to_json(..., orient='records', lines=True)`",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\xfd7zXZ": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"BZh": "compressed with bzip2: unpack it",
}
_ARRAY = re.compile(rb"\s*\[\s*[{\]]")
"""The beginning of an array of objects."""


class _NamedTwice(ValueError):
    """An object has a key more than once, and Python would take the last value in silence."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise _NamedTwice(f"has {name!r} more than once: leave one of them out")
    return fields


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_each_key_once)
"""Also reads control characters that are not escaped, such as tabs."""
_AS_WRITTEN = json.JSONDecoder(parse_float=str, strict=False)
_VISIBLE = re.compile(r"\S")
_TOO_MUCH = "is JSON with too deep nesting or too long a number"


class ProblemFileError(ValueError):
    """An unusable problem file; the message says why and lists unusable rows."""


class Row(NamedTuple):
    """A row of a file as it is, or the reason why it is none."""

    number: int
    """Line of the file, or position in its array, from 1."""
    value: dict[str, Any]
    text: str
    """The JSON text of `value`."""
    fault: str = ""
    """The reason why there is no value; empty when there is one."""


def read_rows(path: Path, content: bytes) -> Iterator[Row]:
    """The rows of a file with this content, in order. Raises ProblemFileError when it has none that
    can be read."""
    if _ARRAY.match(content):
        return _array(path, content)
    _refuse_one_object(path, content)
    return _lines(content)


def as_written(row: Row) -> dict[str, Any]:
    """The value of a row with its decimal numbers as text, as they are written."""
    value: dict[str, Any] = _AS_WRITTEN.decode(row.text)
    return value


def file_content(path: Path) -> bytes:
    """The content of a file, unpacked and without a byte order mark. Raises ProblemFileError for a
    file that cannot be read or is no text in UTF-8."""
    try:
        content = read_regular(path, MAX_STORED)
    except StrangeFile as error:
        raise ProblemFileError(
            f"{path}: cannot be read: {error.strerror}; every trial reads the problems again: "
            "write them to a regular file"
        ) from error
    except OSError as error:
        raise ProblemFileError(
            f"{path}: cannot be read ({error.strerror}); give the path of a problem file, relative "
            f"to {Path.cwd()}, or the name of a set"
        ) from error
    if content.startswith(_GZIP):
        content = _unpacked(path, content)
    for magic, what in _OTHER_FORMATS.items():
        if content.startswith(magic):
            raise ProblemFileError(f"{path}: is {what}")
    if content.startswith(_UTF_16) or content[:4].count(0) >= 2:
        raise ProblemFileError(
            f"{path}: is text in UTF-16 or UTF-32, but UTF-8 is needed: "
            "iconv -f UTF-16 -t UTF-8 old.jsonl > new.jsonl"
        )
    return content.removeprefix(codecs.BOM_UTF8)


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ProblemFileError(f"{path}: cannot be unpacked ({error}): copy it again") from error
    if len(unpacked) > MAX_UNPACKED:
        raise ProblemFileError(
            f"{path}: unpacks to more than {MAX_UNPACKED >> 20} MiB: unpack it yourself if that is "
            "meant, and name the unpacked file"
        )
    return unpacked


def _lines(content: bytes) -> Iterator[Row]:
    for number, line in enumerate(io.BytesIO(content), start=1):
        if line.isspace():
            continue
        try:
            text = line.decode("utf-8")
            value = _value(text)
        except UnicodeDecodeError as error:
            yield Row(number, {}, "", f"is not UTF-8 (byte {error.start + 1})")
        except ValueError as error:
            yield Row(number, {}, "", str(error))
        else:
            yield _row(number, value, text)


def _row(number: int, value: Any, text: str) -> Row:
    if isinstance(value, dict):
        return Row(number, value, text)
    return Row(number, {}, "", "is not a JSON object")


def _value(text: str) -> Any:
    """The value that a line holds. Raises ValueError with the reason when it holds none."""
    try:
        value, end = _DECODER.raw_decode(text)
        return _DECODER.decode(text) if text[end:].strip() else value
    except json.JSONDecodeError as error:
        if text[:1].isspace():
            return _value(text.lstrip())
        advice = ": a backslash is written twice" if "escape" in error.msg else ""
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno}){advice}") from error
    except _NamedTwice:
        raise
    except (RecursionError, ValueError) as error:
        raise ValueError(_TOO_MUCH) from error


def _array(path: Path, content: bytes) -> Iterator[Row]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemFileError(f"{path}: is not UTF-8 (byte {error.start + 1})") from error
    start, number = _next(text, text.index("[") + 1), 0
    while text[start : start + 1] != "]":
        number += 1
        try:
            value, end = _DECODER.raw_decode(text, start)
            following = _next(text, end)
            if text[following : following + 1] not in (",", "]"):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, following)
        except json.JSONDecodeError as error:
            raise ProblemFileError(
                f"{path}: problem {number} of its JSON array cannot be read ({error.msg}, line "
                f"{error.lineno}, column {error.colno}): correct it, or write one problem per line"
            ) from error
        except _NamedTwice as error:
            raise ProblemFileError(f"{path}: problem {number} of its array {error}") from error
        except (RecursionError, ValueError) as error:
            raise ProblemFileError(f"{path}: problem {number} of its array {_TOO_MUCH}") from error
        yield _row(number, value, text[start:end])
        start = _next(text, following + 1) if text[following] == "," else following
    if rest := text[start + 1 :].strip():
        raise ProblemFileError(
            f"{path}: {rest[:40]!r} stands behind its JSON array: the file must be one array, or "
            "one object per line"
        )


def _next(text: str, position: int) -> int:
    """The next position of `text` without white space."""
    found = _VISIBLE.search(text, position)
    return found.start() if found else len(text)


def _refuse_one_object(path: Path, content: bytes) -> None:
    """Raise ProblemFileError for a file that is one JSON object over several lines."""
    first = io.BytesIO(content).readline().strip()
    if not (first.startswith(b"{") and first.endswith((b"{", b"[", b",", b":"))):
        return
    try:
        value = json.loads(content)
    except (RecursionError, ValueError):
        return  # objects over several lines each, or lines that cannot be read
    raise ProblemFileError(
        f"{path}: is one JSON object with the keys {', '.join(map(repr, [*value][:8]))}: write the "
        "problems one per line, or as an array"
    )
