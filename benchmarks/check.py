"""Compares the speed of what a study spends its time on with a recorded baseline.

    conspo bench                   # measure and print, some two minutes
    conspo bench --check           # and end with status 1 where something became slower
    conspo bench --record          # and make it the baseline of machines of this kind

Every number is a ratio within one run of one process: of our way to a way that does not change with
this repository (matrix products, transformers' `generate`, math-verify, JSON alone, Python's own
start), both in turn. So it holds on a busy machine and, within a factor, on another one. A measure
is too slow when, twice, even the better quartile of its runs is beyond the baseline's median by
more than the factor `TOLERANCE`; where machines of this kind have no baseline, by more than
`ELSEWHERE` beyond that of another kind.
"""

from __future__ import annotations

import json
import logging
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import harness
import import_times
import matmul_floor
import sampler
import torch
import verifier
import watch_page

from conspo_study.config import PolicyConfig, RewardConfig
from conspo_study.data.arithmetic import demonstrations
from conspo_study.policy.load import load_policy
from conspo_study.policy.packing import Packing
from conspo_study.policy.warm_start import warm_start
from conspo_study.results.folder import read_events
from conspo_study.results.lines import encode_line
from conspo_study.reward import Verifier
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.allocator import keep_freed_memory

BASELINES = Path(__file__).parent / "baselines"
TOLERANCE, ELSEWHERE = 2.0, 3.0
"""Factors by which a measure may be worse than the baseline of this kind of machine, and of
another."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A ratio that should not become worse."""

    title: str
    take: Callable[[int], harness.Spread]
    """Takes a number of runs."""
    runs: int
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure beside its baseline."""

    title: str
    now: harness.Spread
    before: float | None
    """The baseline's median; None where it has no such measure."""
    change: float | None
    """How many times as slow as the baseline, by the medians."""
    too_slow: bool


def pass_over_products(runs: int) -> harness.Spread:
    """Scoring and backward pass of the embedded model, in the time of its matrix products."""
    case = matmul_floor.embedded_case()
    packing = Packing.of(case.prompts, case.responses, "cpu")
    products, _ = matmul_floor.linear_products(case.model, packing)
    ways: dict[str, Callable[[int], float]] = {
        "products": partial(matmul_floor.run_products, products),
        "scored": partial(matmul_floor.run_scored, case),
    }
    taken = harness.in_turn(ways, runs, warm_up=2)
    return harness.ratio(taken["scored"], taken["products"])


def sampling_over_generate(runs: int) -> harness.Spread:
    """Tokens per second of the sampler over those of `generate`, 8 prompts x 16 responses."""
    model, tokenizer = load_policy(PolicyConfig(), warm_start(demonstrations))
    engine = TransformersEngine(model, tokenizer)
    ways: dict[str, sampler.Sampler] = {
        "engine": partial(sampler.sampled_by_engine, engine),
        "generate": partial(sampler.sampled_by_generate, model, tokenizer, False),
    }
    rates = harness.in_turn(
        {name: partial(sampler.rate, way, tokenizer, 8, 16) for name, way in ways.items()}, runs
    )
    return harness.ratio(rates["engine"], rates["generate"])


def verification_over_math_verify(runs: int) -> harness.Spread:
    """Responses per second of the verifier over those of math-verify, plain integers."""
    logging.disable(logging.CRITICAL)
    with Verifier(RewardConfig()) as ours:
        judges: dict[str, verifier.Judge] = {
            "verifier": partial(verifier.ours, ours),
            "math-verify": verifier.math_verifys,
        }
        found = verifier.compare(verifier.plain(512), judges, runs, warm_up=1)
    return harness.ratio(found["seconds"]["math-verify"], found["seconds"]["verifier"])


def log_over_json(runs: int) -> harness.Spread:
    """Opening a results log, in the time that `json.loads` takes for its lines."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        with log.open("wb") as file:
            events = watch_page.events(trials=8, steps=500, rng=random.Random(0))
            for number, event in enumerate(events, start=1):
                file.write(encode_line(number, "2026-01-01T00:00:00.000Z", event)[0])

        def parse(_: int) -> float:
            start = time.perf_counter()
            for line in log.read_bytes().splitlines():
                json.loads(line)
            return time.perf_counter() - start

        def read(_: int) -> float:
            start = time.perf_counter()
            read_events(Path(folder))
            return time.perf_counter() - start

        taken = harness.in_turn({"json": parse, "log": read}, runs)
    return harness.ratio(taken["log"], taken["json"])


def help_over_python(runs: int) -> harness.Spread:
    """`conspo --help`, in the time of `python -c pass`."""
    with tempfile.TemporaryDirectory() as compiled:
        env = import_times.environment(compiled)
        ways = {
            name: partial(import_times.seconds_of, import_times.COMMANDS[name], env)
            for name in (import_times.BARE, "conspo --help")
        }
        taken = harness.in_turn(ways, runs, warm_up=1)
    return harness.ratio(taken["conspo --help"], taken[import_times.BARE])


MEASURES: Mapping[str, Measure] = {
    "pass_over_products": Measure("training pass / matrix products", pass_over_products, 15),
    "sampling_over_generate": Measure("sampling: us / generate", sampling_over_generate, 9, True),
    "verification_over_math_verify": Measure(
        "verification: us / math-verify", verification_over_math_verify, 5, True
    ),
    "log_over_json": Measure("opening a log / JSON alone", log_over_json, 9),
    "help_over_python": Measure("conspo --help / python", help_over_python, 7),
}


def machine_kind() -> str:
    """What decides how ratios come out: the architecture and the vector instructions."""
    return f"{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}".lower()


def baseline(kind: str, folder: Path = BASELINES) -> tuple[str, Mapping[str, float]]:
    """The kind whose baseline is to be used, and its medians by measure: `kind` itself, or else the
    first of the others. Raises SystemExit where there is none."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stem != kind, path.stem))
    if not paths:
        sys.exit(f"no baseline in {folder}: make one with conspo bench --record")
    stored = json.loads(paths[0].read_text("utf-8"))["measures"]
    return paths[0].stem, {name: float(spread["median"]) for name, spread in stored.items()}


def compared(
    measure: Measure, now: harness.Spread, before: float | None, tolerance: float
) -> Comparison:
    """A measure beside the median of its baseline."""
    if before is None:
        return Comparison(measure.title, now, None, None, False)
    if measure.more_is_better:
        change, at_best = before / now.median, before / now.high
    else:
        change, at_best = now.median / before, now.low / before
    return Comparison(measure.title, now, before, change, at_best > tolerance)


def line(found: Comparison) -> str:
    """A row of the table."""
    before = "" if found.before is None else f"{found.before:.2f}"
    change = "" if found.change is None else f"{found.change:.2f} x as slow"
    verdict = "TOO SLOW" if found.too_slow else ""
    return f"{found.title:34} {found.now.text():>22} {before:>9}  {change:16} {verdict}".rstrip()


def main() -> None:
    """Measure, print, compare."""
    options = harness.parser(__doc__, runs=0)
    options.add_argument("--check", action="store_true", help="fail where it became slower")
    options.add_argument("--record", action="store_true", help="make this run the baseline")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    kind = machine_kind()
    used, medians = (kind, {}) if arguments.record else baseline(kind)
    tolerance = TOLERANCE if used == kind else ELSEWHERE
    print(f"{'ratio':34} {'now [quartiles]':>22} {'baseline':>9}")
    found = {}
    for name, measure in MEASURES.items():
        runs = arguments.runs or measure.runs
        now = measure.take(runs)
        found[name] = compared(measure, now, medians.get(name), tolerance)
        if found[name].too_slow:  # a neighbour may have been busy at the wrong moments
            now = measure.take(2 * runs)
            found[name] = compared(measure, now, medians.get(name), tolerance)
        print(line(found[name]), flush=True)
    taken: dict[str, Any] = {name: asdict(one.now) for name, one in found.items()}
    harness.write(arguments.json, {"measures": taken})
    if arguments.record:
        BASELINES.mkdir(exist_ok=True)
        harness.write(BASELINES / f"{kind}.json", {"measures": taken})
        print(f"recorded as the baseline of {kind}")
        return
    print(
        f"baseline of {used}; tolerance {tolerance} x" + ("" if used == kind else f", for {kind}")
    )
    if arguments.check and any(one.too_slow for one in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
