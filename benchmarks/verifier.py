"""Times the verifier against math-verify in one process, on the same responses.

    python benchmarks/verifier.py [--runs 7] [--hostile-runs 1] [--json results.json]

Three workloads: plain integers, as the generated task has them; the same with 5 % other mathematics
(fractions, radicals, polynomials); the same with 5 % hostile answers, ten kinds in equal parts
(power towers, factorials, deep nesting, large sets, megabytes). math-verify is called as a user
calls it, `verify(parse(gold in a box), parse(response))` in the main thread, with its own limits of
5 seconds that SIGALRM enforces. The verifier has its defaults: one checking process, which runs
before the clock starts, and 5 seconds for an answer. Both take turns, run by run, one thread each.

The numbers to read are rollouts per second and their ratio. With hostile answers nearly all time
goes to these, so a second table has the seconds of each kind. `agreement` is the share of responses
of which both say that they are correct, or both that they are not.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness import Spread, in_turn, parser, ratio, write
from math_verify import parse, verify

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier
from conspo_study.training.allocator import keep_freed_memory

Pair = tuple[str, str]
"""Gold answer and response."""
Judge = Callable[[Sequence[Pair]], list[str]]
"""One verdict per pair, in words; only `correct` has a meaning to both sides."""

MATHEMATICS = (
    ("\\frac{1}{2}", "0.5"),
    ("\\frac{3}{4}", "\\dfrac{6}{8}"),
    ("2\\sqrt{3}", "\\sqrt{12}"),
    ("x^2+2x+1", "(x+1)^2"),
    ("(2, 1)", "(1, 2)"),
    ("\\{1,2,3\\}", "\\{3,2,1\\}"),
    ("x^2-1", "(x-1)(x+2)"),
    ("10^{-3}", "0.001"),
)
HOSTILE = {
    "power tower": "9^{9^{9^{9}}}",
    "factorial": "99999999!",
    "binomial": "\\binom{10000000}{5000000}",
    "tower modulo": "3^{3^{3^{3^{3}}}} \\bmod 1000",
    "nested fractions": "\\frac{1}{" * 300 + "2" + "}" * 300,
    "nested roots": "\\sqrt{" * 100 + "2" + "}" * 100,
    "set of 700": "\\{" + ",".join(map(str, range(700))) + "\\}",
    "set of 3000": "\\{" + ",".join(map(str, range(3000))) + "\\}",
    "megabyte sum": "1+" * 500_000 + "1",
    "megabyte of braces": "{" * 500_000,
}
EVERY = 20
"""One response in so many is not a plain integer: 5 %."""
STEP = 128
"""Responses of one call, as a training step has them."""


def plain(count: int) -> list[Pair]:
    """Responses as the generated task has them, half of them right."""
    rng = random.Random(0)
    pairs = []
    for _ in range(count):
        gold, first, second = str(rng.randrange(51)), rng.randrange(1, 10), rng.randrange(1, 10)
        said = gold if rng.random() < 0.5 else rng.randrange(51)
        pairs.append((gold, f"{first}+{second}={first + second}\n\\boxed{{{said}}}"))
    return pairs


def with_mathematics(count: int) -> list[Pair]:
    """Plain integers, and 5 % that need mathematics."""
    pairs = plain(count)
    for place, index in enumerate(range(0, count, EVERY)):
        gold, answer = MATHEMATICS[place % len(MATHEMATICS)]
        pairs[index] = gold, f"so it is \\boxed{{{answer}}}"
    return pairs


def with_hostile(answer: str) -> list[Pair]:
    """One hostile answer and so many plain integers that it is 5 % of them."""
    pairs = plain(EVERY)
    return [(pairs[0][0], f"so it is \\boxed{{{answer}}}"), *pairs[1:]]


def ours(verifier: Verifier, pairs: Sequence[Pair]) -> list[str]:
    """The verifier's verdicts."""
    return [judgement.verdict.value for judgement in verifier.verify(pairs)]


def math_verifys(pairs: Sequence[Pair]) -> list[str]:
    """Those of math-verify, called with its defaults."""
    return [
        Verdict.CORRECT.value
        if verify(parse(f"\\boxed{{{gold}}}"), parse(response))
        else "not correct"
        for gold, response in pairs
    ]


class Timed:
    """A way to judge a workload, in calls of `STEP` responses."""

    def __init__(self, judge: Judge, pairs: Sequence[Pair]):
        self._judge, self._pairs = judge, pairs
        self.verdicts: list[str] = []
        """Of the last run."""

    def __call__(self, _: int) -> float:
        """Seconds of one run over all pairs."""
        start = time.perf_counter()
        self.verdicts = [
            verdict
            for first in range(0, len(self._pairs), STEP)
            for verdict in self._judge(self._pairs[first : first + STEP])
        ]
        return time.perf_counter() - start


def compare(
    pairs: Sequence[Pair], judges: dict[str, Judge], runs: int, warm_up: int
) -> dict[str, Any]:
    """Seconds of each run by way, ratio of speeds, agreement, and the verifier's verdicts."""
    ways = {name: Timed(judge, pairs) for name, judge in judges.items()}
    seconds = in_turn(ways, runs, warm_up)
    right = [[v == Verdict.CORRECT.value for v in way.verdicts] for way in ways.values()]
    return {
        "rollouts": len(pairs),
        "seconds": seconds,
        "agreement": sum(a == b for a, b in zip(*right, strict=True)) / len(pairs),
        "verdicts": Counter(ways["verifier"].verdicts),
    }


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several workloads, one after the other, as one."""
    rollouts = sum(part["rollouts"] for part in parts)
    return {
        "rollouts": rollouts,
        "seconds": {
            name: [sum(run) for run in zip(*(part["seconds"][name] for part in parts), strict=True)]
            for name in parts[0]["seconds"]
        },
        "agreement": sum(part["agreement"] * part["rollouts"] for part in parts) / rollouts,
        "verdicts": sum((part["verdicts"] for part in parts), Counter[str]()),
    }


def told(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """What is written of a workload, which is also printed."""
    count, seconds = found["rollouts"], found["seconds"]
    speeds = {way: Spread.of([count / s for s in runs]) for way, runs in seconds.items()}
    times = ratio(seconds["math-verify"], seconds["verifier"])
    cells = "  ".join(f"{speed.text(digits=1):>32s}" for speed in speeds.values())
    agreed = f"{100 * found['agreement']:.1f} %"
    print(f"{name:22s} {cells}  {times.text():>26s}  {agreed:>9s}", flush=True)
    return {
        "rollouts": count,
        "rollouts_per_s": speeds,
        "ratio": times,
        "agreement": found["agreement"],
        "verdicts": found["verdicts"],
    }


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=7)
    options.add_argument("--rollouts", type=int, default=1024, help="of the first two workloads")
    options.add_argument("--hostile-runs", type=int, default=1, help="a minute each")
    options.add_argument(
        "--kinds", nargs="*", choices=list(HOSTILE), default=list(HOSTILE), metavar="KIND",
        help="of hostile answers",
    )  # fmt: skip
    arguments = options.parse_args()
    logging.disable(logging.CRITICAL)  # math-verify logs each time-out with its answer
    keep_freed_memory()
    result: dict[str, Any] = {}
    print(f"{'rollouts/s':22s} {'verifier':>32s}  {'math-verify':>32s}  {'ratio':>26s}  agreement")
    with Verifier(RewardConfig()) as verifier:
        judges: dict[str, Judge] = {
            "verifier": partial(ours, verifier),
            "math-verify": math_verifys,
        }
        workloads = {"plain": plain, "5 % mathematics": with_mathematics}
        for name, workload in workloads.items():
            pairs = workload(arguments.rollouts)
            result[name] = told(name, compare(pairs, judges, arguments.runs, warm_up=1))
        kinds = {
            kind: compare(with_hostile(HOSTILE[kind]), judges, arguments.hostile_runs, warm_up=0)
            for kind in arguments.kinds
        }
    if kinds:
        result["5 % hostile"] = told("5 % hostile", together(list(kinds.values())))
        print(f"\n{'seconds of a kind':22s} {'verifier':>24s} {'math-verify':>24s}  verdict")
        result["hostile_kinds"] = {}
    for kind, found in kinds.items():
        spreads = {way: Spread.of(runs) for way, runs in found["seconds"].items()}
        (verdict,) = found["verdicts"].keys() - {"correct", "wrong"} or {"wrong"}
        cells = " ".join(f"{spread.text():>24s}" for spread in spreads.values())
        print(f"{kind:22s} {cells}  {verdict}")
        result["hostile_kinds"][kind] = {"seconds": spreads, "verdict": verdict}
    write(arguments.json, result)


if __name__ == "__main__":
    main()
