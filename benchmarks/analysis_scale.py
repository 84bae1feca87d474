"""Loads and reports studies of growing size, and says where the time goes.

    python benchmarks/analysis_scale.py [--trials 1000 10000] [--rows 1000000] [--json results.json]

The study is made up in a temporary folder: finished trials of two seeds, an evaluation of each seed
at the start and at the end, a report per tenth of training. Its numbers mean nothing, and all its
trials have the same rows of steps and evaluations, as links to the same files. Timed are the
results log (opening it as a driver that resumes, appending events that each reach the disk, the
table after each), what shows the study (`conspo status`, the first answer of the study page and
the one that has all trials) and the analysis (loading, tables of evaluations and reports, and the
whole report, in a process of its own whose memory is measured).
Sizes take turns. The number to read is `growth` between two of them: the ratio of processor seconds
over the ratio of trials, 1 where the work is linear in trials, less where a part of it does not
depend on them, as the rows of evaluations do not.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from harness import Spread, parser, ratio, write

from analysis.load import load_study
from analysis.load.evaluations import FIELDS
from conspo_study.files import write_json_atomic
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.lines import encode_line
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import eval_path, write_eval_rows
from conspo_study.terminal.status import study_status
from conspo_study.watch.study_view import StudyView

METRIC = "eval/chain/hard/avg@8"
SEEDS, STEPS, REPORTS, SAMPLES = (0, 1), 100, 10, 8
METRICS = 40
"""Of a report, as many as a training step has."""
APPENDED = 300
"""Events that are appended to the whole log."""
REPORT = """
import sys, time
from pathlib import Path
from analysis.report import write_report
from conspo_study.update.resident import peak_resident_bytes
write_report(Path(sys.argv[1]))
print(time.process_time(), peak_resident_bytes())
"""
APPENDING = f"log: append {APPENDED} events"


def make_study(folder: Path, trials: int, rows: int) -> None:
    """Write a results directory. rows: evaluation rows over all trials, about."""
    rng = random.Random(0)
    problems = max(1, rows // (trials * len(SEEDS) * 2 * SAMPLES))
    definition = {"metric": METRIC, "seeds": list(SEEDS), "trials": trials, "direction": "max"}
    folder.mkdir()
    study = {"schema": 1, "name": "scale", "hash": "5ca1e", "definition": definition, "data": {}}
    write_json_atomic(folder / "study.json", study)
    shared = _shared_files(folder / "shared", problems, rng)
    events = [TrialEvent(EventKind.STUDY_STARTED, data={"hash": "5ca1e", "trials": trials})]
    for index in range(trials):
        trial = f"t{index:05d}"
        own = folder / "trials" / trial
        own.mkdir(parents=True)
        events += _events(trial, own, rng)
        for path in shared:
            (own / path.name).hardlink_to(path)
    with (folder / "log.jsonl").open("wb") as file:
        for number, event in enumerate(events, start=1):
            file.write(encode_line(number, "2026-01-01T00:00:00.000Z", event)[0])


def _shared_files(folder: Path, problems: int, rng: random.Random) -> list[Path]:
    """Steps and evaluations of both seeds, through the writers that studies use."""
    folder.mkdir()
    steps = folder / "steps.jsonl"
    with steps.open("w") as file:
        for step in range(1, STEPS + 1):
            row = {f"metric_{number}": rng.random() for number in range(METRICS)}
            for seed in SEEDS:
                file.write(json.dumps({"seed": seed, "step": step, "reward": 0.5, **row}) + "\n")
    evaluations = []
    for seed in SEEDS:
        rows = [
            EvalRow(seed, 0, "chain/hard", f"p{problem:05d}", sample,
                    rng.choice(("correct", "wrong")), str(rng.randrange(50)), 18, "stopped")
            for problem in range(problems)
            for sample in range(SAMPLES)
        ]  # fmt: skip
        path = eval_path(folder, seed, 0)
        write_eval_rows(path, rows)
        table = pq.read_table(path)
        column = pa.array([STEPS] * table.num_rows, pa.int64())
        at_the_end = table.set_column(1, table.schema.field("step"), column)
        pq.write_table(at_the_end, eval_path(folder, seed, STEPS), compression="zstd")
        evaluations += [path, eval_path(folder, seed, STEPS)]
    return [steps, *evaluations]


def _events(trial: str, own: Path, rng: random.Random) -> list[TrialEvent]:
    objective = {"tau": rng.choice((0.1, 1.0, 10.0)), "margin": rng.choice((0.0, 1.0, 5.0))}
    params = {f"objective.{name}": value for name, value in objective.items()}
    config = {"objective": {**objective, "name": "conspo", "margin_unit": "tau"}, "evaluation": {}}
    write_json_atomic(own / "config.json", {"seeds": list(SEEDS), "config": config})
    suggested = {"params": params, "seeds": list(SEEDS), "config_hash": f"{hash(trial):x}"}
    events = [TrialEvent(EventKind.SUGGESTED, trial, suggested)]
    values = {str(seed): rng.random() for seed in SEEDS}
    for step in range(0, STEPS + 1, STEPS // REPORTS):
        metrics = {f"metric_{number}": rng.random() for number in range(METRICS)}
        seeds = {seed: {**metrics, METRIC: value} for seed, value in values.items()}
        data = {"step": step, "steps": STEPS, "seeds": seeds}
        events.append(TrialEvent(EventKind.REPORTED, trial, data))
    data = {"step": STEPS, "values": values, "wall_s": 1.0}
    return [*events, TrialEvent(EventKind.FINISHED, trial, data)]


def append_events(log: ResultsLog) -> None:
    """Incidents of the study, one by one, and after each a look at the table."""
    for number in range(APPENDED):
        data = {"type": "worker_restarted", "count": 1, "detail": f"made up, {number}"}
        log.append(TrialEvent(EventKind.INCIDENT, "", data))
        assert log.table.rows


class Clock:
    """Seconds of pieces of work by name, of the wall and of the processor."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def timed(self, name: str, action: Callable[[], Any]) -> Any:
        """The result of `action`, whose seconds are kept and printed under `name`."""
        start, worked = time.perf_counter(), time.process_time()
        result = action()
        self.note(name, time.perf_counter() - start, time.process_time() - worked)
        return result

    def note(self, name: str, wall: float, cpu: float) -> None:
        """Keep and print seconds that were measured elsewhere."""
        self.wall[name], self.cpu[name] = wall, cpu
        print(f"  {name:42s} {wall:8.2f} s, cpu {cpu:8.2f} s", flush=True)


def measure_log(clock: Clock, path: Path) -> None:
    """What a driver does with the log of a study that it resumes."""
    log: ResultsLog
    with clock.timed("log: open", lambda: ResultsLog(path)) as log:
        clock.timed(APPENDING, lambda: append_events(log))


def measure_views(clock: Clock, folder: Path) -> None:
    """What those see who look at the study."""
    clock.timed("status", lambda: study_status(folder))
    view = StudyView(folder)
    clock.timed("page: first answer", lambda: view.study(0, 0))

    def read_on() -> None:
        answer = view.study(0, 0)
        while answer["bytes_left"]:
            answer = view.study(answer["epoch"], answer["seq"])

    clock.timed("page: all trials", read_on)


def measure_report(clock: Clock, folder: Path) -> float:
    """Write the report; returns the peak of its process in GiB."""
    start, command = time.perf_counter(), [sys.executable, "-c", REPORT, str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    clock.note("report", time.perf_counter() - start, float(said[0]))
    return int(said[1]) / 2**30


def measure(folder: Path, trials: int, rows: int) -> dict[str, Any]:
    """Seconds of each piece of work on a study of this size, and how large it is."""
    print(f"{trials} trials")
    clock = Clock()
    clock.timed("make", lambda: make_study(folder, trials, rows))
    size = (folder / "log.jsonl").stat().st_size / 1e6
    measure_log(clock, folder / "log.jsonl")
    measure_views(clock, folder)
    study = clock.timed("load", lambda: load_study(folder))
    ids = [row.id for row in study.table.rows]
    columns = ["seed", "problem_id", "sample", "verdict"]
    part = clock.timed(
        "evaluations: four columns, last step",
        lambda: study.evaluations_of(ids, columns, {STEPS}),
    )
    rows_last = len(part)
    whole = clock.timed("evaluations: all columns, all steps", lambda: study.evaluations)
    assert list(whole) == [*FIELDS, "trial"]
    clock.timed("reports of one metric", lambda: study.reported(METRIC))
    del part, whole
    peak = measure_report(clock, folder)
    page = (folder / "report.html").stat().st_size / 1e6
    rate = APPENDED / clock.wall[APPENDING]
    print(
        f"  log {size:.0f} MB, {rate:.0f} events/s appended, {rows_last} rows at the last step, "
        f"page {page:.1f} MB, report {peak:.2f} GiB at its peak"
    )
    return {
        "trials": trials,
        "log_mb": size,
        "appended_per_s": rate,
        "rows_at_the_last_step": rows_last,
        "page_mb": page,
        "peak_gib": peak,
        "seconds": clock.wall,
        "cpu_seconds": clock.cpu,
    }


def together(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several runs of one size as one result: spreads of what varies."""
    found = {**runs[0], "appended_per_s": Spread.of([run["appended_per_s"] for run in runs])}
    for kind in ("seconds", "cpu_seconds"):
        found[kind] = {name: Spread.of([run[kind][name] for run in runs]) for name in runs[0][kind]}
    return found


def growth(small: Sequence[dict[str, Any]], large: Sequence[dict[str, Any]]) -> dict[str, Spread]:
    """By piece of work, the ratio of processor seconds over that of trials, also printed."""
    times = large[0]["trials"] / small[0]["trials"]
    print(f"growth from {small[0]['trials']} to {large[0]['trials']} trials")
    found = {
        name: ratio(
            [run["cpu_seconds"][name] for run in large],
            [run["cpu_seconds"][name] * times for run in small],
        )
        for name in large[0]["cpu_seconds"]
    }
    for name, spread in found.items():
        print(f"  {name:42s} {spread.text():>8s}")
    return found


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=1)
    options.add_argument("--trials", type=int, nargs="+", default=[1000])
    options.add_argument("--rows", type=int, default=1_000_000, help="of evaluations, about")
    arguments = options.parse_args()
    sizes = sorted(set(arguments.trials))
    found: dict[int, list[dict[str, Any]]] = {trials: [] for trials in sizes}
    for _ in range(arguments.runs):
        for trials, runs in found.items():
            with tempfile.TemporaryDirectory() as temporary:
                runs.append(measure(Path(temporary) / "scale", trials, arguments.rows))
    grown = [growth(found[small], found[large]) for small, large in pairwise(sizes)]
    write(arguments.json, {"sizes": [together(runs) for runs in found.values()], "growth": grown})


if __name__ == "__main__":
    main()
