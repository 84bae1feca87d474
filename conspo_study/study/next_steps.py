"""Commands to type next for a results directory, with its path as seen from here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from conspo_study.results.stored import read_study
from conspo_study.results.strata import chosen_over
from conspo_study.study.trust import OPTION, code_named
from conspo_study.tracking.known import how_to_look


def after_the_end(
    folder: Path,
    trials: int,
    track: Sequence[str] = (),
    used_up: bool = False,
    by_machine: bool = False,
) -> list[str]:
    """Commands for a study that has ended, as lines.

    trials: its budget. track: trackers that it was sent to. used_up: whether more trials would find
    nothing to try. by_machine: whether trials failed that may be tried again.
    """
    place, definition = typed(folder), read_study(folder).definition
    anchors = definition.get("anchors")
    # As many searched trials again: a whole number of brackets, where there are any.
    longer = max(2 * trials - (len(anchors) if isinstance(anchors, list) else 0), trials + 1)
    more = ("more trials", f"conspo extend {place} --trials {longer}{_trusting(folder)}")
    return _lines(
        *([("retry failed trials", f"conspo resume {place} --retry-failed")] if by_machine else []),
        ("watch", f"conspo watch {place}"),
        *([] if used_up else [more]),
        ("report again", f"conspo report {place}"),
        *([("map", f"conspo map {place}")] if chosen_over(definition) else []),
        ("compare", f"conspo compare {place} {typed(folder.parent)}/ANOTHER_STUDY"),
        *_looks(folder, track),
    )


def after_a_stop(folder: Path, track: Sequence[str] = (), taken_over: bool = False) -> list[str]:
    """Commands for a study that was interrupted or had to stop, as lines.

    track: trackers that it was sent to. taken_over: whether another driver continues it.
    """
    place = typed(folder)
    resume = f"conspo resume {place}{_trusting(folder)}"
    return _lines(
        *([] if taken_over else [("continue", resume)]),
        ("where it is", f"conspo status {place}"),
        ("watch", f"conspo watch {place}"),
        ("report so far", f"conspo report {place}"),
        *_looks(folder, track),
    )


def typed(folder: Path) -> str:
    """The path as one would type it in the working directory, quoted for a shell if need be."""
    return shlex.quote(str(_short(folder)))


def _trusting(folder: Path) -> str:
    """The option for a study that has just run code of its own."""
    return f" {OPTION}" if code_named(read_study(folder).definition) else ""


def _short(folder: Path) -> Path:
    resolved, here = folder.resolve(), Path.cwd()
    return resolved.relative_to(here) if resolved.is_relative_to(here) else resolved


def _looks(folder: Path, track: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, how_to_look(name, _short(folder), folder.name)) for name in track]


def _lines(*steps: tuple[str, str]) -> list[str]:
    width = max(len(what) for what, _ in steps)
    return [f"  {what:<{width}}  {command}" for what, command in steps]
