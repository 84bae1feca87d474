"""Reports of a trial as Ray Tune hands them over: text from another process, checked before use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from conspo_study.cluster.outlet import COLLAPSED, INCIDENTS, STEP
from conspo_study.files import finite
from conspo_study.records import Collapse, is_number
from conspo_study.search import Suggestion


@dataclass(frozen=True, slots=True)
class Report:
    """A checked progress report."""

    step: int
    steps: int
    seeds: Mapping[str, Mapping[str, Any]]
    """The metrics by seed."""
    collapsed: Mapping[str, Collapse]
    """The seeds that have collapsed."""

    def data(self) -> dict[str, Any]:
        """The report for the log, which is strict JSON: non-finite numbers become null."""
        training = [m for seed, m in self.seeds.items() if seed not in self.collapsed]
        rates = [metrics.get("tokens_per_s") for metrics in training]
        known = [rate for rate in rates if is_number(rate)]
        return {
            "step": self.step,
            "steps": self.steps,
            "seeds": finite(self.seeds),
            "tokens_per_s": sum(known) / len(known) if known else None,
            **collapses(self.collapsed),
        }


def collapses(collapsed: Mapping[str, Collapse]) -> dict[str, Any]:
    """The part of an event that names the seeds that have collapsed; empty where none has."""
    return {"collapsed": {s: asdict(end) for s, end in collapsed.items()}} if collapsed else {}


def checked_report(result: Mapping[str, Any], suggestion: Suggestion) -> Report:
    """Check a result. Raises ValueError, TypeError, KeyError or AttributeError if malformed."""
    step, steps, seeds = result[STEP], result["steps"], json.loads(result["seeds"])
    if steps != suggestion.config.train.steps or step not in range(steps + 1):
        raise ValueError(f"step {step!r} of {steps!r}")
    expected = set(map(str, suggestion.seeds))
    if seeds.keys() - expected or not all(isinstance(metrics, dict) for metrics in seeds.values()):
        raise ValueError(f"metrics of the seeds {', '.join(seeds)}")
    collapsed = {
        seed: Collapse(int(end["step"]), str(end["cause"]))
        for seed, end in json.loads(result.get(COLLAPSED, "{}")).items()
    }
    if collapsed.keys() - expected or not all(0 < c.step <= step for c in collapsed.values()):
        raise ValueError(f"collapses of the seeds {', '.join(collapsed)} up to step {step}")
    return Report(step, steps, seeds, collapsed)


def reported_incidents(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The failures that the trial recovered from over its life. Raises as `checked_report`."""
    return [
        {
            "type": str(incident["type"]),
            "count": int(incident["count"]),
            "detail": str(incident["detail"]),
        }
        for incident in json.loads(result.get(INCIDENTS, "[]"))
    ]
