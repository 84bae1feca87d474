"""Paths as people type them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec


def typed_path(text: str) -> Path:
    """The path, with `~` for a home directory even where the shell leaves that as it is, such as
    after `--results=`. Raises NoSuchHome."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise NoSuchHome(f"{text}: there is no such home directory; write the path out") from None


class NoSuchHome(argparse.ArgumentTypeError, ValueError):
    """A path that begins with the home directory of somebody who has none."""


TypedPath = Annotated[
    Path,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: typed_path(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""A path on a command line."""
Folder = Annotated[TypedPath, tyro.conf.Positional]
"""A path without an option's name before it."""
