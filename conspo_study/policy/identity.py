"""A hash that identifies the model in a folder.

Hashing all of a large model at every start of a study would take minutes, so only three blocks of
each weight tensor are read. Training changes all of a matrix, so two models differ in these blocks;
a damaged byte elsewhere goes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from conspo_study.policy.safetensors_header import read_header
from conspo_study.untrusted import open_regular

BLOCK = 1 << 16
"""Bytes read at the beginning, in the middle and at the end of each tensor."""
_AT_ONCE = 1 << 20
_KINDS = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".py"})
"""Suffixes of the files of model, tokenizer and their code."""


def folder_hash(folder: Path) -> str:
    """SHA-256 over names, sizes and contents of a model folder's files; of weights, over blocks.

    Raises ValueError for a weight file that is not in the safetensors format.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in _KINDS or not path.is_file():
            continue
        digest.update(json.dumps([path.name, path.stat().st_size]).encode())
        with open_regular(path, None) as file:
            if path.suffix == ".safetensors":
                for block in _blocks(file, path):
                    digest.update(block)
            else:
                while block := file.read(_AT_ONCE):
                    digest.update(block)
    return digest.hexdigest()


def _blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The header of a safetensors file and the blocks of its tensors, in their order."""
    try:
        header = read_header(file)
    except ValueError as error:
        raise ValueError(f"{path} is not a safetensors file") from error
    yield header.text
    for start, end in sorted(tensor["data_offsets"] for tensor in header.tensors.values()):
        for begin in sorted(
            {start, max(start, (start + end - BLOCK) // 2), max(start, end - BLOCK)}
        ):
            file.seek(header.data_start + begin)
            yield file.read(min(BLOCK, end - begin))
