"""Files that declare a study: the packaged ones by their name, any other by its path.

A study file is run as `python FILE` would run it: with its folder first on Python's path and
`__name__ == "__main__"`. `conspo_study.main`, which it calls, takes its options from here.
"""

from __future__ import annotations

import difflib
import os
import runpy
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from conspo_study.commands import exits
from conspo_study.commands.options import StudyOptions
from conspo_study.commands.typed_paths import typed_path
from conspo_study.records import StudyError

PACKAGED = Path(__file__).resolve().parents[2] / "studies"
"""Beside the package, in a checkout and where it is installed."""
_GUARD = 'if __name__ == "__main__": raise SystemExit(main(build, __doc__))'


@dataclass
class Handover:
    """Options for the study file that is being run, and what came of it."""

    options: StudyOptions
    begun: bool = False
    """Whether the file has called `conspo_study.main`."""
    status: int = exits.OK
    """What `main` returned, whatever the file did with it."""


handed_over: ContextVar[Handover | None] = ContextVar("handed_over", default=None)


def packaged_studies() -> dict[str, Path]:
    """The files of the studies that come with this package, by name."""
    return {path.stem: path for path in sorted(PACKAGED.glob("[!_]*.py"))}


def is_file_name(word: str) -> bool:
    """Whether the word is meant as the path of a study file."""
    return word.endswith(".py")


def holds_study(folder: Path) -> bool:
    """Whether a study has begun in the folder."""
    from conspo_study.results.names import DEFINITION, LOG

    return any((folder / name).exists() for name in (DEFINITION, LOG))


def study_file(word: str) -> Path:
    """The file of a study that is named or whose path is given. Raises StudyError where there is
    none, naming those that are near."""
    packaged = packaged_studies()
    here = Path(f"{word}.py")
    if word in packaged:
        if here.is_file() and not here.samefile(packaged[word]):
            print(
                f"note: this is the packaged study; the file here is run by: conspo run {here}",
                file=sys.stderr,
            )
        return packaged[word]
    try:
        path = typed_path(word)
    except ValueError as error:
        raise StudyError(str(error)) from None
    if is_file_name(word) and path.is_file():
        return path
    if word and path.is_dir():
        raise StudyError(
            f"{word} is a folder, not a study file; a study that has begun in it is continued by: "
            f"conspo resume {shlex.quote(word)}"
        )
    if is_file_name(word) or os.sep in word:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], 1)
        hint = f" (did you mean {path.parent / near[0]}?)" if near else ""
        raise StudyError(f"there is no study file {word}{hint}")
    near = difflib.get_close_matches(word, [*packaged], 1, cutoff=0.5)
    hint = f" (did you mean {near[0]}?)" if near else ""
    if here.is_file():
        hint = f" (did you mean the file {here}?)"
    raise StudyError(
        f"unknown study {word!r}{hint}; packaged: {', '.join(packaged)}; any other is named by the "
        "path of its file, such as my_study.py"
    )


def run_study_file(path: Path, options: StudyOptions) -> int:
    """Run the study that the file declares; returns the exit status.

    Raises StudyError where the file cannot be run, or declares no study.
    """
    handover = Handover(options)
    with _as_script(path, handover):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as ended:
            if not handover.begun:
                return _status(ended.code)
        except Exception as error:
            if handover.begun:
                raise
            raise StudyError(f"{path} cannot be run: {_failure(path, error)}") from error
    if not handover.begun:
        raise StudyError(
            f"{path} runs no study: it should end with `{_GUARD}`, where main comes from "
            "conspo_study and build returns a Study; `conspo init NAME` writes such a file"
        )
    return handover.status


@contextmanager
def _as_script(path: Path, handover: Handover) -> Iterator[None]:
    """Python's state as the file would find it as a script without arguments."""
    arguments, places = sys.argv[:], sys.path[:]
    token = handed_over.set(handover)
    sys.argv[:] = [str(path)]
    sys.path.insert(0, str(path.resolve().parent))
    try:
        yield
    finally:
        handed_over.reset(token)
        sys.argv[:], sys.path[:] = arguments, places


def _status(code: str | int | None) -> int:
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return code or exits.OK


def _failure(path: Path, error: Exception) -> str:
    """The error, with the innermost line of the file, or of a module beside it, that led to it."""
    reason = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    folder = path.resolve().parent
    near = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(folder)]
    where = f" ({near[-1].filename}, line {near[-1].lineno})" if near else ""
    if isinstance(error, SyntaxError) and error.filename:
        where, reason = f" ({error.filename}, line {error.lineno})", error.msg
    return f"{type(error).__name__}: {reason}{where}"
