"""Which model a folder holds, as a hash that another model does not share.

Reading all of a large model at every start of a study would take minutes. Of each weight tensor
three blocks are read instead: training moves all of a matrix, so that two models differ in them,
while a damaged byte elsewhere goes unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 16
"""Bytes read at the beginning, in the middle and at the end of each tensor."""
_KINDS = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".py"})
"""What model, tokenizer and their code consist of."""
_LONGEST_HEADER = 100_000_000
"""The safetensors format's own limit."""


def folder_hash(folder: Path) -> str:
    """SHA-256 over names, sizes and contents of a model folder's files, weights by their blocks.

    Raises ValueError for a weight file that is not in the safetensors format.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in _KINDS or not path.is_file():
            continue
        digest.update(json.dumps([path.name, path.stat().st_size]).encode())
        with path.open("rb") as file:
            if path.suffix == ".safetensors":
                for block in _blocks(file, path):
                    digest.update(block)
            else:
                digest.update(file.read())
    return digest.hexdigest()


def _blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The header of a safetensors file and the blocks of its tensors, in their order."""
    size = int.from_bytes(file.read(8), "little")
    header = file.read(min(size, _LONGEST_HEADER))
    yield header
    try:
        entries = json.loads(header)
        spans = sorted(
            (int(start), int(end))
            for name, entry in entries.items()
            if name != "__metadata__"
            for start, end in [entry["data_offsets"]]
        )
        if any(not 0 <= start <= end for start, end in spans):
            raise ValueError("tensors lie outside of the file")
        for start, end in spans:
            starts = {start, max(start, (start + end - BLOCK) // 2), max(start, end - BLOCK)}
            for begin in sorted(starts):
                file.seek(8 + size + begin)
                yield file.read(min(BLOCK, end - begin))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a safetensors file") from error
