"""Checkpoints as folders of safetensors and JSON, with a checksum for every file.

    checkpoint_00040/
      manifest.json               written last: sha256 of every other file
      state.json                  step, configuration hash, seeds, counters
      seed-<seed>/model.safetensors, config.json, ...   a transformers model folder, or an adapter's
      seed-<seed>/optimizer.safetensors
      seed-<seed>/ahead.safetensors   where responses are drawn ahead: those of the next step

Every worker of a sharded model writes a part of both and reads its share back:
model-00001-of-00002.safetensors, which holds whole tensors, so that the folder stays one that
transformers can load, and optimizer-00001-of-00002.safetensors, which holds rows.

A folder without a matching manifest is not a checkpoint. Nothing here is ever unpickled.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from conspo_study.files import flush, write_atomic
from conspo_study.text import reason
from conspo_study.untrusted import read_object, regular_digest
from conspo_study.update.errors import CheckpointDamaged, CheckpointError
from conspo_study.update.shards import part_name
from conspo_study.update.step import Updater

FORMAT = 1
_MOST = 64 << 20
"""Bytes of a manifest, or of a state."""
_KINDS = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model"})
"""File types of model and tokenizer folders; none of these formats can carry code."""


def save_run(folder: Path, save_model: Callable[[Path], None], updater: Updater) -> dict[str, int]:
    """Write one seed's model and optimiser into `folder`; returns the counters for state.json."""
    folder.mkdir(parents=True, exist_ok=updater.world.sharded)
    save_model(folder)
    tensors = {name: value.contiguous() for name, value in updater.state_tensors().items()}
    save_file(tensors, folder / part_name("optimizer", updater.world))
    return {"applied": updater.applied, "skipped_in_a_row": updater.skipped_in_a_row}


def load_run(
    folder: Path,
    load_model: Callable[[Path], None],
    updater: Updater,
    counters: Mapping[str, int],
) -> None:
    """Restore in place what `save_run` wrote. Raises CheckpointError when it does not fit."""
    try:
        load_model(folder)
        tensors = load_file(folder / part_name("optimizer", updater.world))
        updater.load_state(tensors, counters["applied"], counters["skipped_in_a_row"])
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{folder.parent.name}/{folder.name} cannot be restored: {error}"
        ) from error


def seal(folder: Path, state: Mapping[str, Any]) -> None:
    """Complete a checkpoint: write state.json, then the manifest; all of it is on disk on
    return."""
    write_atomic(folder / "state.json", json.dumps({"format": FORMAT, **state}, indent=1).encode())
    # safetensors lets the owner alone read, whatever the umask says.
    mode = (folder / "state.json").stat().st_mode & 0o777
    files = _files(folder)
    for path in files:
        if not path.is_symlink():
            path.chmod(mode)
    digests = {str(path.relative_to(folder)): _sha256(path) for path in files}
    for path in files:
        flush(path)
    for place in {path.parent for path in files}:
        flush(place)
    write_atomic(folder / "manifest.json", json.dumps(digests, indent=1).encode())


def open_checkpoint(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Check every file against the manifest and return state.json.

    `expected` holds entries of the state that must match, such as the configuration hash. Raises
    CheckpointDamaged naming the file at fault, CheckpointError naming an entry that differs.
    """
    try:
        digests = _object(folder, "manifest.json")
    except (OSError, ValueError) as error:
        raise CheckpointDamaged(
            f"{folder.name} has no readable manifest: {reason(error)}"
        ) from error
    if "state.json" not in digests:
        raise CheckpointDamaged(f"the manifest of {folder.name} lists no state.json")
    # Files are looked up in the manifest, never the other way round: its names are untrusted.
    files = {str(path.relative_to(folder)): path for path in _files(folder)}
    if strange := [name for name, path in files.items() if not _is_regular(path)]:
        raise CheckpointDamaged(f"{folder.name}/{strange[0]} is a link, or no regular file")
    files.pop("manifest.json")
    for name in sorted(files.keys() | digests.keys()):
        if name not in files or _sha256(files[name]) != digests.get(name):
            raise CheckpointDamaged(
                f"{folder.name}/{name} is missing, damaged or not in the manifest"
            )
        if files[name].suffix not in _KINDS:
            raise CheckpointDamaged(
                f"{folder.name}/{name} has a type that does not belong in a checkpoint"
            )
    state = _read_state(folder)
    for key, value in {"format": FORMAT, **expected}.items():
        if state.get(key) != value:
            raise CheckpointError(
                f"{folder.name} belongs to another run: its {key} is {state.get(key)!r}, "
                f"this run's is {value!r}"
            )
    return state


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return _object(folder, "state.json")
    except ValueError as error:
        raise CheckpointDamaged(f"{folder.name}/state.json cannot be read: {error}") from error


def _object(folder: Path, name: str) -> dict[str, Any]:
    return read_object(folder / name, _MOST, inside=2)


def _files(folder: Path) -> list[Path]:
    """All that is in the folder and no folder; links count as files, so that none is followed and
    none goes unseen."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _sha256(path: Path) -> str:
    return regular_digest(path, inside=1)
