"""Names of the folders that hold a trial's checkpoints."""

from __future__ import annotations

import re

PARTIAL, DAMAGED, REMOVED = ".partial", ".damaged", ".removed"
"""Suffixes: being written, or its writer was killed; found damaged and kept; being removed."""
_NAME = re.compile(rf"checkpoint_(\d{{5,}})(\{PARTIAL}|\{DAMAGED}|\{REMOVED})?")


def checkpoint_name(step: int) -> str:
    """`checkpoint_00020`, of a whole one."""
    return f"checkpoint_{step:05d}"


def checkpoint_step(name: str) -> tuple[int, str] | None:
    """Step and suffix of a checkpoint's folder; None for a folder of another kind."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), match[2] or "") if match else None
