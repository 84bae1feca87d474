"""Loads and reports studies of growing size, and says where the time goes.

    python benchmarks/analysis_scale.py [--trials 1000] [--rows 1000000] [--json results.json]

The study is made up in a temporary folder: finished trials of two seeds, an evaluation of each seed
at the start and at the end, a report per tenth of training. Its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.evaluations import FIELDS
from analysis.load import load_study
from analysis.report import write_report
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.atomic import write_json_atomic
from conspo_study.results.lines import encode_line
from conspo_study.results.rows import eval_path, write_eval_rows

METRIC = "eval/chain/hard/avg@8"
SEEDS, STEPS, REPORTS, SAMPLES = (0, 1), 100, 10, 8
METRICS = 40
"""Of a report, as many as a training step has."""


def make_study(folder: Path, trials: int, rows: int) -> None:
    """Write a results directory. rows: evaluation rows over all trials, about."""
    rng = random.Random(0)
    problems = max(1, rows // (trials * len(SEEDS) * 2 * SAMPLES))
    definition = {"metric": METRIC, "seeds": list(SEEDS), "trials": trials, "direction": "max"}
    folder.mkdir()
    study = {"schema": 1, "name": "scale", "hash": "5ca1e", "definition": definition, "data": {}}
    write_json_atomic(folder / "study.json", study)
    evaluation = _evaluation(folder, problems, rng)
    events = [TrialEvent(EventKind.STUDY_STARTED, data={"hash": "5ca1e", "trials": trials})]
    for index in range(trials):
        trial = f"t{index:05d}"
        own = folder / "trials" / trial
        own.mkdir(parents=True)
        events += _events(trial, own, rng)
        for seed, table in evaluation.items():
            for step in (0, STEPS):
                column = pa.array([step] * table.num_rows, pa.int64())
                at = table.set_column(1, table.schema.field("step"), column)
                pq.write_table(at, eval_path(own, seed, step), compression="zstd")
    with (folder / "log.jsonl").open("wb") as file:
        for number, event in enumerate(events, start=1):
            file.write(encode_line(number, "2026-01-01T00:00:00.000Z", event)[0])


def _evaluation(folder: Path, problems: int, rng: random.Random) -> dict[int, Any]:
    """Rows of one evaluation per seed, through the writer that studies use."""
    found = {}
    for seed in SEEDS:
        rows = [
            EvalRow(seed, 0, "chain/hard", f"p{problem:05d}", sample,
                    rng.choice(("correct", "wrong")), str(rng.randrange(50)), 18, "stopped")
            for problem in range(problems)
            for sample in range(SAMPLES)
        ]  # fmt: skip
        path = folder / "one.parquet"
        write_eval_rows(path, rows)
        found[seed] = pq.read_table(path)
        path.unlink()
    return found


def _events(trial: str, own: Path, rng: random.Random) -> list[TrialEvent]:
    objective = {"tau": rng.choice((0.1, 1.0, 10.0)), "margin": rng.choice((0.0, 1.0, 5.0))}
    params = {f"objective.{name}": value for name, value in objective.items()}
    config = {"objective": {**objective, "name": "conspo", "margin_unit": "tau"}, "evaluation": {}}
    write_json_atomic(own / "config.json", {"seeds": list(SEEDS), "config": config})
    suggested = {"params": params, "seeds": list(SEEDS), "config_hash": f"{hash(trial):x}"}
    events = [TrialEvent(EventKind.SUGGESTED, trial, suggested)]
    values = {str(seed): rng.random() for seed in SEEDS}
    with (own / "steps.jsonl").open("w") as file:
        for step in range(1, STEPS + 1):
            row = {f"metric_{number}": rng.random() for number in range(METRICS)}
            for seed in SEEDS:
                file.write(json.dumps({"seed": seed, "step": step, "reward": 0.5, **row}) + "\n")
    for step in range(0, STEPS + 1, STEPS // REPORTS):
        metrics = {f"metric_{number}": rng.random() for number in range(METRICS)}
        seeds = {seed: {**metrics, METRIC: value} for seed, value in values.items()}
        data = {"step": step, "steps": STEPS, "seeds": seeds}
        events.append(TrialEvent(EventKind.REPORTED, trial, data))
    data = {"step": STEPS, "values": values, "wall_s": 1.0}
    return [*events, TrialEvent(EventKind.FINISHED, trial, data)]


def timed(seconds: dict[str, float], name: str, action: Callable[[], Any]) -> Any:
    """The result of `action`, whose wall seconds are kept and printed under `name`."""
    start = time.perf_counter()
    result = action()
    seconds[name] = time.perf_counter() - start
    print(f"{name:42s} {seconds[name]:8.2f} s", flush=True)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "scale"
        timed(seconds, "make", lambda: make_study(folder, arguments.trials, arguments.rows))
        size = (folder / "log.jsonl").stat().st_size / 1e6
        study = timed(seconds, "load", lambda: load_study(folder))
        ids = [row.id for row in study.table.rows]
        columns = ["seed", "problem_id", "sample", "verdict"]
        part = timed(
            seconds,
            "evaluations: four columns, last step",
            lambda: study.evaluations_of(ids, columns, {STEPS}),
        )
        rows = len(part)
        whole = timed(seconds, "evaluations: all columns, all steps", lambda: study.evaluations)
        assert list(whole) == [*FIELDS, "trial"]
        timed(seconds, "reports of one metric", lambda: study.reported(METRIC))
        del part, whole
        timed(seconds, "report", lambda: write_report(folder))
        page = (folder / "report.html").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"log {size:.0f} MB, {rows} rows at the last step, page {page:.1f} MB, peak {peak:.2f} GiB"
    )
    if arguments.json:
        result = {"trials": arguments.trials, "log_mb": size, "peak_gib": peak, "seconds": seconds}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
