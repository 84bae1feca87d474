"""Sentences about failed trials and missing files, which come before any other about a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conspo_study.records import TrialState
from conspo_study.results.names import (
    CONFIG,
    DIGEST,
    FAILURE,
    STEPS,
    trial_folder,
    trials_folder,
)
from conspo_study.results.reading import stored_lines
from conspo_study.results.rows import stored_evaluations
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.text import first_line

_MOST_NAMED, _MOST_STEPS = 20, 6
"""Trials that are named one by one, and steps."""


def failure_lines(folder: Path, table: StudyTable) -> list[str]:
    """That no trial finished, or how many failed, with the first cause; empty when all is well."""
    rows, again = table.rows, table.confirmations
    failed, lost = _failed(rows), _failed(again)
    lines = []
    first = f"; first cause: {_cause(folder, failed[0])}" if failed else ""
    ended = all(row.state.ended for row in rows)
    if rows and not table.with_result and (failed or ended):
        counts = ", ".join(f"{count} {state}" for state, count in table.counts.items() if count)
        lines.append(f"No trial finished: {counts}{first}")
    elif failed:
        lines.append(f"{len(failed)} of {_counted(rows, 'trial')} failed{first}")
    if lost:
        of = _counted(again, "confirmation")
        lines.append(f"{len(lost)} of {of} failed; first cause: {_cause(folder, lost[0])}")
    if machine := [row.id for row in table.all_rows if row.machine]:
        shown = ", ".join(machine[:_MOST_NAMED]) + (" ..." if len(machine) > _MOST_NAMED else "")
        lines.append(f"The machine made {shown} fail: resume with --retry-failed to try again")
    return lines


def missing_lines(
    folder: Path, table: StudyTable, definition: Mapping[str, Any], count_rows: bool = False
) -> list[str]:
    """A line for each trial that lacks files of which the log speaks; one for all of a digest.

    definition: as in `study.json`; what is missing of it is not asked for. count_rows: whether to
    read the rows of training steps, too, and count them.
    """
    if (folder / DIGEST).exists():
        return ["A digest: responses, curves and checkpoints are in the study that it was made of"]
    begun = [row for row in table.all_rows if row.state is not TrialState.WAITING]
    trials = trials_folder(folder)
    if begun and not any(trial_folder(folder, row.id).is_dir() for row in begun):
        of = f"The folders of all {len(begun)} trials" if len(begun) > 1 else "Its trial's folder"
        return [f"{of} {'are' if len(begun) > 1 else 'is'} gone from {trials}: {_ADVICE}"]
    lines = []
    for row in begun:
        place = trial_folder(folder, row.id)
        # A training function reports the steps that it likes.
        count = count_rows and _inside(definition, "base", "function") is None
        lacks = list(_lacking(place, row, _every(definition, row), count))
        if lacks:
            lines.append(f"{row.id} lacks {' and '.join(lacks)} in {trials}: {_ADVICE}")
    more = len(lines) - _MOST_NAMED
    return lines[:_MOST_NAMED] + ([f"{more} more trials lack files"] if more > 0 else [])


_ADVICE = "what the log holds is used; restore the files from a copy"


def _failed(rows: Sequence[TrialRow]) -> list[TrialRow]:
    return [row for row in rows if row.state is TrialState.FAILED]


def _counted(rows: Sequence[TrialRow], noun: str) -> str:
    return f"{len(rows)} {noun}{'' if len(rows) == 1 else 's'}"


def _cause(folder: Path, row: TrialRow) -> str:
    file = trial_folder(folder, row.id) / FAILURE
    whole = f" (all of it: {file})" if file.is_file() else ""
    return f"{row.id} at step {row.step}: {first_line(row.cause) or 'not known'}{whole}"


def _lacking(own: Path, row: TrialRow, every: int | None, count_rows: bool) -> Iterator[str]:
    if not own.is_dir():
        yield f"its whole folder {own.name}"
        return
    if not (own / CONFIG).is_file():
        yield f"{own.name}/{CONFIG}"
    seeds = list(row.seed_metrics)
    steps = own / STEPS
    if row.step and seeds:
        if not steps.is_file():
            yield f"{own.name}/{STEPS}"
        elif count_rows:
            # A collapsed seed has no rows after its last step, of which it may have none.
            last = {seed: at - 1 for seed, at in row.collapsed.items()}
            wanted = sum(min(row.step, last.get(seed, row.step)) for seed in seeds)
            found = stored_lines(steps).count(b"\n")
            if found < wanted:
                yield f"{wanted - found} of {wanted} rows of {own.name}/{STEPS}"
    if every:
        yield from _lost_evaluations(row, every, stored_evaluations(own))


def _lost_evaluations(
    row: TrialRow, every: int, stored: Sequence[tuple[int, int]]
) -> Iterator[str]:
    """The evaluations that a trial should have and has not; a log may speak of a million steps."""
    due = range(0, row.step + 1, every)
    last = [row.steps] if row.steps and row.steps <= row.step and row.steps % every else []
    held: dict[int, set[int]] = {
        seed: set()
        for seed, metrics in row.seed_metrics.items()
        if any(name.startswith("eval/") for name in metrics)
    }
    for seed, step in stored:
        if seed in held and (step in due or step in last):
            held[seed].add(step)
    count = len(due) + len(last)
    of = ", ".join(str(seed) for seed in sorted(held) if len(held[seed]) < count)
    if of:
        everywhere = set.intersection(*held.values())
        lost = (step for step in (*due[: len(everywhere) + _MOST_STEPS], *last))
        named = sorted({step for step in lost if step not in everywhere})[:_MOST_STEPS]
        more = count - len(everywhere) - len(named)
        rest = f" and {more} more" if more else ""
        yield f"the evaluations of seed {of} at step {', '.join(map(str, named))}{rest}"


def _every(definition: Mapping[str, Any], row: TrialRow) -> int | None:
    """Steps between evaluations of a trial; None where the definition does not tell."""
    found = _inside(definition, "base", "evaluation", "every")
    if row.of:
        changed = _inside(definition, "confirm", "overrides", "evaluation.every")
        found = found if changed is None else changed
    return found if isinstance(found, int) and found > 0 else None


def _inside(data: Any, *names: str) -> Any:
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def used_up(table: StudyTable, trials: int) -> str:
    """That a study ended before its budget of `trials`, since nothing was left to try; empty
    otherwise."""
    if not table.finished or len(table.rows) >= trials:
        return ""
    return f"the space is used up: {len(table.rows)} of {trials} trials; nothing is left to try"
