"""Measures how fast the page of a large study answers a browser's questions.

    python benchmarks/watch_page.py [--trials 200] [--steps 1000] [--json results.json]

The study is synthetic, in a temporary folder: two seeds, a report every five steps, 45 metrics, the
last trial still running. "first view" is all that a browser needs to draw the overview (page,
scripts, study and curves) from a server that has read the log; "cold" is a server that was just
started: its first answer, which draws the page, and the time until it has read the whole log.
"poll" is one report being logged and the two questions that follow.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conspo_study.files import write_json_atomic
from conspo_study.records import EventKind, RolloutRow, TrialEvent
from conspo_study.results.kept import rollouts_path, write_rollouts
from conspo_study.results.lines import encode_line
from conspo_study.update.resident import peak_resident_bytes
from conspo_study.watch import make_server, server

PAGE = Path(server.__file__).parent / "page"
METRIC = "eval/chain/hard/avg@8"
SEEDS, EVERY, EVALUATED, METRICS = (0, 1), 5, 20, 45
NAMES = [f"metric_{number}" for number in range(METRICS - 1)]


def make_study(folder: Path, trials: int, steps: int) -> None:
    """Write a results directory."""
    rng = random.Random(0)
    folder.mkdir()
    choices = {"kind": "choice", "values": [0.1, 1.0, 10.0]}
    definition = {
        "metric": METRIC,
        "direction": "max",
        "seeds": list(SEEDS),
        "trials": trials,
        "space": {
            "objective.tau": choices,
            "objective.margin": {"kind": "range", "low": 0.0, "high": 5.0, "log": False},
        },
        "base": {"evaluation": {"every": EVALUATED}},
    }
    study = {"schema": 1, "name": "scale", "hash": "5ca1e", "definition": definition, "data": {}}
    write_json_atomic(folder / "study.json", study)
    shared = folder / "steps.jsonl"
    write_steps(shared, steps, rng)
    with (folder / "log.jsonl").open("wb") as file:
        for number, event in enumerate(events(trials, steps, rng), start=1):
            file.write(encode_line(number, "2026-01-01T00:00:00.000Z", event)[0])
    for index in range(trials):
        trial = folder / "trials" / f"t{index:04d}"
        trial.mkdir(parents=True)
        (trial / "steps.jsonl").hardlink_to(shared)
    for seed in SEEDS:
        for step in range(1, steps, 10):
            rows = [response(seed, step, group, i, rng) for group in range(2) for i in range(16)]
            write_rollouts(rollouts_path(trial, seed, step), rows, 1_000_000)


def write_steps(path: Path, steps: int, rng: random.Random) -> None:
    """One row per seed and step, as long as those of training."""
    with path.open("w") as file:
        for step in range(1, steps + 1):
            for seed in SEEDS:
                row = {name: rng.random() for name in NAMES}
                file.write(json.dumps({"seed": seed, "step": step, **row}) + "\n")


def events(trials: int, steps: int, rng: random.Random) -> Iterator[TrialEvent]:
    """The events of the log, trial by trial; the last one has not ended."""
    yield TrialEvent(EventKind.STUDY_STARTED, data={"hash": "5ca1e", "trials": trials})
    for index in range(trials):
        trial, tau, margin = f"t{index:04d}", rng.choice((0.1, 1.0, 10.0)), 5 * rng.random()
        params = {"objective.tau": tau, "objective.margin": margin}
        yield TrialEvent(EventKind.SUGGESTED, trial, {"params": params, "seeds": list(SEEDS)})
        yield TrialEvent(EventKind.STARTED, trial)
        for step in range(0, steps + 1, EVERY):
            yield TrialEvent(EventKind.REPORTED, trial, report(step, steps, margin, rng))
        if index < trials - 1:
            values = {str(seed): rng.random() for seed in SEEDS}
            yield TrialEvent(EventKind.FINISHED, trial, {"step": steps, "values": values})


def report(step: int, steps: int, margin: float, rng: random.Random) -> dict[str, Any]:
    """The data of one report."""
    level = 1 - math.exp(-step * margin / steps)
    metrics = {
        str(seed): {**{name: rng.random() for name in NAMES}, METRIC: level + rng.gauss(0, 0.02)}
        for seed in SEEDS
    }
    return {"step": step, "steps": steps, "seeds": metrics, "tokens_per_s": 1000.0}


def response(seed: int, step: int, group: int, i: int, rng: random.Random) -> RolloutRow:
    """A response of sixty words."""
    text = " ".join(str(rng.randrange(1000)) for _ in range(60))
    verdict = rng.choice(("correct", "wrong"))
    numbers = (-rng.random(), rng.gauss(0, 0.1), None)
    where = (seed, step, group, i, f"p{group}")
    return RolloutRow(*where, "1+2=?", text, verdict, "7", *numbers, 60, "stopped")


def ask(url: str) -> tuple[float, bytes]:
    """Seconds and body of one request."""
    start = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        body = answer.read()
    return time.perf_counter() - start, body


def first_view(url: str) -> tuple[float, int]:
    """Seconds and bytes of all that the overview needs, requested one after the other."""
    seconds, size = 0.0, 0
    files = [path for path in PAGE.rglob("*") if path.suffix in (".css", ".js")]
    page = ["", *(str(path.relative_to(PAGE)) for path in files)]
    for name in [*page, "api/study", f"api/curves?metric={METRIC}&points=100"]:
        took, body = ask(url + name)
        seconds, size = seconds + took, size + len(body)
    return seconds, size


def read_all(url: str) -> tuple[float, float, float]:
    """Seconds to the first answer, until the whole log is read, and of the slowest answer."""
    start, slowest, first = time.perf_counter(), 0.0, 0.0
    while True:
        took, body = ask(url + "api/study")
        slowest, first = max(slowest, took), first or took
        if not json.loads(body)["bytes_left"]:
            return first, time.perf_counter() - start, slowest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    measured: dict[str, float] = {"trials": arguments.trials, "steps": arguments.steps}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "scale"
        make_study(folder, arguments.trials, arguments.steps)
        measured["log_mb"] = (folder / "log.jsonl").stat().st_size / 1e6
        with make_server(folder) as page:
            thread = threading.Thread(target=page.serve_forever, daemon=True)
            thread.start()
            url = page.url
            opener = urllib.request.build_opener()
            opener.addheaders = [("Authorization", f"Bearer {page.door.token}")]
            urllib.request.install_opener(opener)
            measured["cold_first_s"], measured["cold_all_s"], measured["cold_slowest_s"] = read_all(
                url
            )
            measured["first_view_s"], size = first_view(url)
            measured["first_view_mb"] = size / 1e6
            study = json.loads(ask(url + "api/study")[1])
            cursor = f"epoch={study['epoch']}&since={study['seq']}"
            polls = []
            with (folder / "log.jsonl").open("ab") as log:
                for number in range(50):
                    event = report(number, arguments.steps, 1.0, random.Random(number))
                    last = f"t{arguments.trials - 1:04d}"
                    line = TrialEvent(EventKind.REPORTED, last, event)
                    stamp = "2026-01-01T00:00:00.000Z"
                    log.write(encode_line(study["seq"] + number + 1, stamp, line)[0])
                    log.flush()
                    took = ask(f"{url}api/study?{cursor}")[0]
                    took += ask(f"{url}api/curves?metric={METRIC}&points=100&{cursor}")[0]
                    polls.append(took)
            measured["poll_median_s"], measured["poll_slowest_s"] = (
                statistics.median(polls),
                max(polls),
            )
            trial = f"{url}api/trial/t{arguments.trials - 1:04d}"
            measured["trial_s"] = ask(trial)[0] + ask(f"{trial}/curves?points=160")[0]
            measured["responses_first_s"] = ask(f"{trial}/responses")[0]
            measured["responses_s"] = ask(f"{trial}/responses?verdict=correct&offset=200")[0]
            page.shutdown()
    measured["peak_gib"] = peak_resident_bytes() / 2**30
    for name, value in measured.items():
        print(f"{name:20s} {value:10.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
