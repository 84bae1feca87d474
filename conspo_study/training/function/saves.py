"""The checkpoints of one call: written whole or not at all, of which the newest is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from conspo_study.files import flush
from conspo_study.records.checkpoints import PARTIAL, checkpoint_name, checkpoint_step


def newest(folder: Path) -> tuple[int, Path] | None:
    """Step and folder of the newest whole checkpoint in a call's folder; None without one."""
    whole = [(name[0], path) for path, name in _checkpoints(folder) if not name[1]]
    return max(whole, default=None)


@contextmanager
def saving(folder: Path, step: int) -> Iterator[Path]:
    """An empty folder that becomes the checkpoint of `step` at the end of the block, when older
    ones are removed. A block that raises leaves no checkpoint."""
    final = folder / checkpoint_name(step)
    partial = final.with_suffix(PARTIAL)
    rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in [*partial.rglob("*"), partial]:
            if not path.is_symlink() and (path.is_file() or path.is_dir()):
                flush(path)
        rmtree(final, ignore_errors=True)
        partial.rename(final)
    except BaseException:
        rmtree(partial, ignore_errors=True)
        raise
    flush(folder)
    for path, _ in [*_checkpoints(folder)]:
        if path != final:
            rmtree(path, ignore_errors=True)


def _checkpoints(folder: Path) -> Iterator[tuple[Path, tuple[int, str]]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        name = checkpoint_step(path.name)
        if name and path.is_dir() and not path.is_symlink():
            yield path, name
