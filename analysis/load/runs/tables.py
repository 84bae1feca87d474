"""Tables of runs: one row per value, or a column per run as W&B exports a chart, or the single run
of TensorBoard's export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.load.runs.names import named, split_name
from analysis.load.runs.rows import Reading, Row, RunsUnreadable, one_metric
from analysis.load.text import visible

_TENSORBOARD = {"wall time", "step", "value"}
_STEPS = ("step", "_step", "global_step", "train/global_step")
_RUN_COLUMN = " - "
"""Between a run's name and its metric in the columns of W&B's charts."""
_EDGES = ("__MIN", "__MAX")
"""Columns that W&B puts beside each of a chart."""


def table_rows(
    path: Path, text: str, reading: Reading, inside: Path | None
) -> tuple[str, list[Row], list[str]]:
    """Metric, rows and notes of a table. inside: as for `names.named`."""
    lines = _Lines(path, text)
    titles = lines.titles
    plain = {title.casefold(): title for title in titles}
    if all(column in titles for column in (*reading.setting, reading.seed)):
        return _long(lines, reading)
    if plain.keys() >= _TENSORBOARD:
        metric = reading.metric or "Value"
        return metric, _one_run(lines, plain["value"], plain["step"], inside), []
    step = next((plain[name] for name in _STEPS if name in plain), None)
    runs = [t for t in titles if _RUN_COLUMN in t and not t.endswith(_EDGES)]
    if step is not None and runs:
        return _columns_of_runs(lines, runs, step, reading)
    if step is not None:  # the history of one run
        known = [title for title in titles if title != step]
        metric = one_metric(path, known, reading.metric)
        return metric, _one_run(lines, metric, step, inside), []
    missing = [column for column in (*reading.setting, reading.seed) if column not in titles]
    raise RunsUnreadable(
        path,
        f"no column {' and no column '.join(map(repr, missing))} among "
        f"{', '.join(visible(title, 60) for title in titles[:30])}: name the columns with "
        "--setting COLUMN[,COLUMN...] and --seed COLUMN, or give a chart that W&B or TensorBoard "
        "exported",
    )


class _Lines:
    """Records of a table, each with its line and as many fields as there are titles."""

    def __init__(self, path: Path, text: str):
        self.path = path
        first = text.partition("\n")[0]
        mark = next((m for m in ("\t", ";") if m in first and "," not in first), ",")
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        try:
            self.titles = [title.strip() for title in next(self._reader, [])]
        except csv.Error as error:
            raise RunsUnreadable(path, f"it is no table ({error})", 1) from None
        if not any(self.titles):
            raise RunsUnreadable(path, "it has no titles of columns in its first line", 1)
        for title in self.titles:
            if title and self.titles.count(title) > 1:
                raise RunsUnreadable(path, f"two columns are named '{visible(title, 60)}'", 1)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for record in self._reader:
                if not record:
                    continue
                if len(record) != len(self.titles):
                    raise self.problem(
                        f"{len(record)} fields under {len(self.titles)} titles", self.line
                    )
                yield self.line, record
        except csv.Error as error:
            raise self.problem(f"it is no table ({error})", self.line) from None

    @property
    def line(self) -> int:
        """The last line of the record at hand."""
        return self._reader.line_num

    def problem(self, what: str, line: int) -> RunsUnreadable:
        return RunsUnreadable(self.path, what, line)

    def where(self, title: str) -> int:
        return self.titles.index(title)

    def value(self, field: str, title: str, line: int) -> float | None:
        """The number in a field; None for an empty one."""
        field = field.strip()
        if not field:
            return None
        try:
            return float(field)
        except ValueError:
            shown = visible(field, 40)
            raise self.problem(f"{visible(title, 60)} is '{shown}', no number", line) from None

    def whole(self, field: str, title: str, line: int) -> int:
        """The whole number in a field, also where a program wrote it as 3.0."""
        if re.fullmatch(r"\s*-?\d{1,18}(\.0*)?\s*", field) is None:
            shown = visible(field, 40)
            raise self.problem(f"{visible(title, 60)} is '{shown}', no whole number", line)
        return int(field.partition(".")[0])


def _long(lines: _Lines, reading: Reading) -> tuple[str, list[Row], list[str]]:
    """One row per value; `metric` and `value` may be columns of names and numbers."""
    titles, path = lines.titles, lines.path
    keys = {*reading.setting, reading.seed, "problem", "step"}
    named_values = {"metric", "value"} <= set(titles)
    if named_values:
        title, name = "value", lines.where("metric")
    else:
        title, name = (
            one_metric(path, [t for t in titles if t and t not in keys], reading.metric),
            -1,
        )
    settings = [lines.where(column) for column in reading.setting]
    seed, value = lines.where(reading.seed), lines.where(title)
    step = lines.where("step") if "step" in titles else -1
    problem = lines.where("problem") if "problem" in titles else -1
    rows, empty, metrics = [], 0, dict[str, None]()
    for line, record in lines:
        if named_values:
            metrics[record[name]] = None
            if reading.metric not in (None, record[name]):
                continue
        number = lines.value(record[value], title, line)
        if number is None:
            empty += 1
            continue
        row = Row(
            _setting(lines, reading.setting, [record[index] for index in settings], line),
            lines.whole(record[seed], reading.seed, line),
            lines.whole(record[step], "step", line) if step >= 0 else None,
            record[problem] if problem >= 0 else None,
            number,
            line,
            path,
        )
        rows.append(row)
    notes = [f"{path.name}: {empty} rows without a value are left out."] if empty else []
    return one_metric(path, [*metrics], reading.metric) if named_values else title, rows, notes


def _setting(lines: _Lines, columns: Sequence[str], fields: Sequence[str], line: int) -> str:
    fields = [field.strip() for field in fields]
    if len(columns) > 1:
        return ", ".join(f"{c}={f}" for c, f in zip(columns, fields, strict=True))
    if not fields[0]:
        raise lines.problem(f"{visible(columns[0], 60)} is empty", line)
    return fields[0]


def _one_run(lines: _Lines, title: str, step: str, inside: Path | None) -> list[Row]:
    """The rows of a table that holds a single run, which its name tells."""
    setting, seed = named(lines.path, inside)
    at, of = lines.where(step), lines.where(title)
    return [
        Row(setting, seed, lines.whole(record[at], step, line), None, number, line, lines.path)
        for line, record in lines
        if (number := lines.value(record[of], title, line)) is not None
    ]


def _columns_of_runs(
    lines: _Lines, columns: Sequence[str], step: str, reading: Reading
) -> tuple[str, list[Row], list[str]]:
    """A chart of several runs: `RUN - METRIC` over each column."""
    parts = {title: title.rpartition(_RUN_COLUMN) for title in columns}
    metrics = dict.fromkeys(metric for _, _, metric in parts.values())
    metric = one_metric(lines.path, [*metrics], reading.metric)
    runs = {}
    for title, (run, _, its_metric) in parts.items():
        if its_metric != metric:
            continue
        names = split_name(run)
        if names is None:
            raise RunsUnreadable(
                lines.path,
                f"the run '{visible(run, 60)}' does not say its setting and seed: name runs "
                "SETTING-sSEED, such as tau1-s0, or export the table of runs with their seeds",
                1,
            )
        runs[lines.where(title)] = (title, *names)
    at, rows = lines.where(step), []
    for line, record in lines:
        when = lines.whole(record[at], step, line)
        for index, (title, setting, seed) in runs.items():
            number = lines.value(record[index], title, line)
            if number is not None:
                rows.append(Row(setting, seed, when, None, number, line, lines.path))
    return metric, rows, []
