"""Writes a digest: a finished study in a few hundred kilobytes, for a repository or a paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.findings.final_scores import final_scores
from analysis.load.digest import SCHEMA, VERSION
from analysis.load.study import StudyResults, StudyUnreadable, load_study
from analysis.statistics.scores import Scores
from conspo_study.files import write_atomic, write_json_atomic
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.results.lines import LoggedEvent, encode_line
from conspo_study.results.names import DEFINITION, DIGEST, LOG, SCORES, SNAPSHOT
from conspo_study.results.reading import stored_bytes
from conspo_study.results.table import TrialRow
from conspo_study.text import size_text

KEPT = ("credit_angle", "credit_angle_margin")
"""Metrics of training steps whose means over the steps are kept."""


def write_digest(folder: Path, out: Path) -> str:
    """Write a digest of the study in `folder` into the new folder `out`; returns what it holds in a
    sentence.

    It is a results directory of the same definition and snapshot. Its log has every event; of the
    reports, the first and last of each trial with the study's own metrics. For the trials' files
    stand the final score of every seed at every problem, and means over training steps. Tables of
    final values, comparisons and maps come out of it as out of the study; there are no responses,
    curves and checkpoints in it.

    A study that has not ended gives what it has so far, and stays one that has not ended. Raises
    StudyUnreadable for a study that cannot be read, StudyError where `out` holds something, OSError
    where it cannot be written.
    """
    study = load_study(folder)
    if study.digest is not None:
        raise StudyUnreadable(f"{folder} is a digest already: copy it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StudyError(f"{out} exists and is not empty: choose another folder")
    means = {
        row.id: found for row in study.table.all_rows if (found := study.step_means(row.id, KEPT))
    }
    scores = [(row, final_scores(study, row)) for row in study.table.all_rows]
    files = {LOG: b"".join(_lines(study)), SCORES: _encoded(scores)}
    files |= {
        name: stored_bytes(folder / name)
        for name in (DEFINITION, SNAPSHOT)
        if (folder / name).exists()
    }
    out.mkdir(parents=True, exist_ok=True)
    # First: whatever is written after it, it is no study that lost its trials.
    write_json_atomic(out / DIGEST, {"version": VERSION, "step_means": means})
    for name, content in files.items():
        write_atomic(out / name, content)
    size = sum(path.stat().st_size for path in out.iterdir())
    open_rows = sum(not row.state.ended for row in study.table.all_rows)
    unfinished = "" if study.table.finished else f"; the study has not ended, {open_rows} are open"
    lacking = [row.id for row, found in scores if row.state.has_result and found is None]
    less = f"; no scores by problem of {', '.join(lacking)}" if lacking else ""
    return f"{len(study.table.all_rows)} trials in {size_text(size)}{unfinished}{less}"


def _lines(study: StudyResults) -> Iterator[bytes]:
    """The lines of the log, less reports between the first and the last of a trial."""
    metrics = {study.metric, *(str(aim["metric"]) for aim in study.definition.get("also") or ())}
    ends: dict[tuple[str, bool], int] = {}
    for logged in study.events:
        if logged.event.kind is EventKind.REPORTED:
            ends[logged.event.trial, False] = logged.seq
            if logged.event.data.get("step") == 0:
                ends[logged.event.trial, True] = logged.seq
    kept = set(ends.values())
    number = 0
    for logged in study.events:
        report = logged.event.kind is EventKind.REPORTED
        if not report or logged.seq in kept:
            number += 1
            event = _told(logged, metrics) if report else logged.event
            yield encode_line(number, logged.time, event)[0]


def _told(logged: LoggedEvent, metrics: set[str]) -> TrialEvent:
    """A report with these metrics alone."""
    data = dict(logged.event.data)
    if "metrics" in data:
        data["metrics"] = _of(data["metrics"], metrics)
    seeds = data.get("seeds", {}).items()
    data["seeds"] = {seed: _of(found, metrics) for seed, found in seeds}
    return TrialEvent(logged.event.kind, logged.event.trial, data)


def _of(found: Mapping[str, Any], metrics: set[str]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in metrics}


def _encoded(found: Sequence[tuple[TrialRow, Scores | None]]) -> bytes:
    """The scores as Parquet, a row per trial, problem set, seed and problem."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for row, scores in found:
        if scores is None:
            continue
        for name, one in scores.benchmarks.items():
            for seed, values in zip(scores.seeds, one.values.tolist(), strict=True):
                count = len(one.problems)
                columns["trial"] += [row.id] * count
                columns["problem_set"] += [name] * count
                columns["seed"] += [seed] * count
                columns["problem_id"] += one.problems
                columns["score"] += [None if math.isnan(value) else value for value in values]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, SCHEMA), sink, compression="zstd", write_statistics=False)
    content: bytes = sink.getvalue().to_pybytes()
    return content
