"""The checkpoints of one trial: written whole or not at all, and read from the newest good one.

    <folder>/checkpoint_00020             whole
    <folder>/checkpoint_00040.partial     being written, or its writer was killed
    <folder>/checkpoint_00060.damaged     damaged, set aside
    <folder>/checkpoint_00000.removed     being removed, or its remover was killed

The folder itself is the list of them: one kept elsewhere could be out of date or torn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Self

from conspo_study.files import flush, make_folders, naming
from conspo_study.records.checkpoints import (
    DAMAGED,
    PARTIAL,
    REMOVED,
    checkpoint_name,
    checkpoint_step,
)
from conspo_study.update.checkpoint import open_checkpoint, seal
from conspo_study.update.errors import CheckpointDamaged
from conspo_study.update.world import World

_INNER = 2
"""Folders of a results directory above a checkpoint: `ray`, and the run's."""
KEPT = 2
"""Whole checkpoints that are kept: the newest, and one to fall back to."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """The state that a trial can continue from."""

    folder: Path | None
    """The newest good checkpoint; None: there is none, training begins at the start."""
    state: dict[str, Any]
    """Its state.json."""
    damages: tuple[str, ...]
    """The damage of newer ones, one sentence each."""

    def told(self) -> dict[str, Any]:
        """In values that workers exchange."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "state": self.state,
            "damages": self.damages,
        }

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        """What another worker told."""
        folder = told["folder"]
        return cls(None if folder is None else Path(folder), told["state"], told["damages"])


class CheckpointStore:
    """The checkpoints in `folder` of the run that `identity` describes (entries of state.json).

    `writers` are the workers that write together, each its part; by default one process does it
    alone.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], writers: World | None = None):
        self.folder, self.identity = folder, dict(identity)
        self.writers = writers or World()

    def write(self, step: int, fill: Callable[[Path], Mapping[str, Any]]) -> None:
        """Add the checkpoint of `step`: `fill` writes into an empty folder and returns the state.

        All but the last two are then removed. When `fill` raises, the new one is removed.
        Collective over the writers: `fill` is called on each, with the same folder, and the state
        that the first returns is stored; when it raises on one, it has failed on all.
        """
        target = self.folder / checkpoint_name(step)
        partial = target.with_suffix(PARTIAL)
        first = self.writers.rank == 0

        def begin() -> None:
            if first:
                make_folders(self.folder, _INNER)
                _remove(partial)
                with naming(partial, "cannot begin the checkpoint"):
                    partial.mkdir()

        def complete() -> None:
            if first:
                seal(partial, {"step": step, **state, **self.identity})
                replaced = _set_aside(target)  # after a restart from an older one
                with naming(target, "cannot complete the checkpoint"):
                    partial.rename(target)
                flush(self.folder)
                _remove(replaced)

        try:
            self.writers.together(begin)
            state = self.writers.together(lambda: fill(partial))
            self.writers.together(complete)
        except BaseException:
            if first:
                _remove(partial)
            raise
        if first:
            for _, old in self._stored()[:-KEPT]:
                _remove(_set_aside(old))

    def newest(self, last: int | None = None) -> Resumable:
        """The newest good checkpoint, up to step `last` if it is given. Damaged ones are set aside,
        unfinished ones removed, and so are those of later steps, which will be trained again.

        Raises CheckpointError when a checkpoint belongs to another run.
        """
        damages = []
        for _, partial in self._stored(PARTIAL):
            damages.append(f"{partial.stem} was being written when its process died")
            _remove(partial)
        for _, removed in self._stored(REMOVED):
            _remove(removed)
        for step, folder in reversed(self._stored()):
            if last is not None and step > last:
                _remove(_set_aside(folder))
                continue
            try:
                state = open_checkpoint(folder, self.identity)
                if state.get("step") != step:
                    raise CheckpointDamaged(f"{folder.name} holds step {state.get('step')!r}")
            except (CheckpointDamaged, OSError) as damage:
                damages.append(str(damage))
                aside = folder.with_suffix(DAMAGED)
                _remove(aside)
                folder.rename(aside)
            else:
                return Resumable(folder, state, tuple(damages))
        return Resumable(None, {}, tuple(damages))

    def _stored(self, suffix: str = "") -> list[tuple[int, Path]]:
        """Folders of this suffix, by step, oldest first; without one they claim to be whole."""
        if not self.folder.is_dir():
            return []
        named = ((checkpoint_step(path.name), path) for path in self.folder.iterdir())
        return sorted((name[0], path) for name, path in named if name and name[1] == suffix)


def _set_aside(path: Path) -> Path:
    """Where the checkpoint `path`, if there is one, now lies to be removed: of one that was removed
    in part the rest would be taken for a damaged one."""
    aside = path.with_suffix(REMOVED)
    _remove(aside)
    with naming(path, "cannot set the old checkpoint aside"), suppress(FileNotFoundError):
        path.rename(aside)
    return aside


def _remove(path: Path) -> None:
    with naming(path, "cannot remove what is there"):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            rmtree(path)
