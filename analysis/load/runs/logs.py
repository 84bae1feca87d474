"""Logs of single runs: TRL's `log_history`, and lines of JSON as verl's file logger writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.load.runs.names import named
from analysis.load.runs.rows import Reading, Row, RunsUnreadable, one_metric
from analysis.load.text import visible
from conspo_study.untrusted import parse_json

_STEPS = ("step", "_step", "global_step")
_NO_METRIC = {*_STEPS, "epoch", "timestamp", "_timestamp", "_runtime"}


def log_rows(
    path: Path, content: bytes, reading: Reading, inside: Path | None
) -> tuple[str, list[Row], list[str]]:
    """Metric, rows and notes of a log. inside: as for `names.named`."""
    setting, seed = named(path, inside)
    entries = [*_with_steps(path, _entries(path, content))]
    numbers = {
        name: None
        for _, entry in entries
        for name, value in entry.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    known = [name for name in numbers if name not in _NO_METRIC]
    metric = one_metric(path, known, reading.metric)
    last: dict[int, float] = {}
    again = 0
    for step, entry in entries:
        value = entry.get(metric)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            shown = visible(repr(value), 40)
            raise RunsUnreadable(
                path, f"{visible(metric, 60)} is {shown} at step {step}, no number"
            )
        again += step in last
        last[step] = _float(value)
    rows = [Row(setting, seed, step, None, value, None, path) for step, value in last.items()]
    notes = (
        [f"{path.name}: {again} steps are logged again, as by a resumed run; the last one counts."]
        if again
        else []
    )
    return metric, rows, notes


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return float("inf") if value > 0 else float("-inf")


def _entries(path: Path, content: bytes) -> Iterator[tuple[Any, int | None]]:
    """Logged objects, with the line of those that stand on lines of their own."""
    try:
        whole = parse_json(content)
    except ValueError as error:
        yield from _of_lines(path, content, str(error))
        return
    history = whole.get("log_history", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(history, list):
        raise RunsUnreadable(path, "it is no log: no list of entries, nor an object with one")
    for entry in history:
        yield entry, None


def _of_lines(path: Path, content: bytes, problem: str) -> Iterator[tuple[Any, int | None]]:
    """An object per line; a last line that was cut off is left out."""
    lines = content.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line), number
        except ValueError as error:
            if number == len(lines) > 1 and not content.endswith(b"\n"):
                return
            told = problem if number == 1 else str(error)
            raise RunsUnreadable(path, f"it is no JSON ({visible(told, 100)})", number) from None


def _with_steps(
    path: Path, entries: Iterable[tuple[Any, int | None]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for entry, line in entries:
        if not isinstance(entry, dict):
            raise RunsUnreadable(path, "an entry of the log is no object", line)
        step = next((entry[name] for name in _STEPS if name in entry), None)
        if isinstance(step, bool) or not isinstance(step, int | float) or step != step // 1:
            raise RunsUnreadable(path, f"an entry has the step {visible(repr(step), 40)}", line)
        data = entry.get("data")
        yield int(step), data if isinstance(data, dict) else entry
