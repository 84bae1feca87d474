"""The header of a safetensors file: names, shapes and positions of its tensors, without values."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from conspo_study.untrusted import parse_json

_LONGEST = 32 << 20
"""Maximum length of a header in bytes, more than that of any model; the format allows more."""


class Header(NamedTuple):
    """The header of a safetensors file."""

    text: bytes
    """The JSON text as stored in the file."""
    tensors: dict[str, dict[str, Any]]
    """Entries by tensor name: `dtype`, `shape`, and `data_offsets` (begin and end in bytes)."""

    @property
    def data_start(self) -> int:
        """Position in the file, in bytes, from which `data_offsets` count."""
        return 8 + len(self.text)


def read_header(file: BinaryIO) -> Header:
    """Read the header of a file opened at its beginning. Raises ValueError if it has none."""
    length = int.from_bytes(file.read(8), "little")
    text = file.read(length if length <= _LONGEST else 0)
    try:
        tensors = parse_json(text)
        tensors.pop("__metadata__", None)
        spans = [tensor["data_offsets"] for tensor in tensors.values()]
        sound = len(text) == length and all(
            isinstance(start, int) and isinstance(end, int) and 0 <= start <= end
            for start, end in spans
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError("the file has no safetensors header") from error
    if not sound:
        raise ValueError("the safetensors header is damaged")
    return Header(text, tensors)
