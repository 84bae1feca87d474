"""Data of figures that compare methods: intervals, and pass@k for every k."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.findings.measured import Measurements
from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.statistics.accuracy import sampled_outcomes, set_means
from analysis.statistics.bootstrap import estimate

_COLUMNS = ["trial", "seed", "step", "problem_set", "problem_id", "sample", "verdict", "answer"]


def method_frame(found: Measurements) -> pd.DataFrame:
    """Mean over benchmarks by method: method, value, low, high, seeds, by_seed, no_interval.

    low and high: ends of the 95 % bootstrap interval over seeds and problems; nan where there is
    none, and then `no_interval` says why. by_seed: the mean of each seed. All methods have the same
    benchmarks: those that lack one of them are left out.
    """
    wanted = set(found.benchmarks)
    records = []
    for method, scores in found.scores.items():
        if set(scores.benchmarks) != wanted:
            continue
        whole = estimate(scores)
        records.append(
            {
                "method": visible(method),
                "value": whole.value,
                "low": np.nan if whole.low is None else whole.low,
                "high": np.nan if whole.high is None else whole.high,
                "seeds": whole.seeds,
                "by_seed": scores.cells.mean(axis=1).tolist(),
                "no_interval": whole.no_interval,
            }
        )
    columns = ["method", "value", "low", "high", "seeds", "by_seed", "no_interval"]
    return pd.DataFrame(records, columns=columns)


def pass_curves(study: StudyResults, trials: Sequence[str]) -> pd.DataFrame:
    """trial, seed, problem_set, k, value: unbiased pass@k at each trial's last step.

    Sets are in the order in which the trials' configurations declare them, others last. k runs
    through 1, 2, 4, ... and the number of samples, as far as every problem of the set has k
    samples: a mean over fewer problems would not belong to the same curve. Raises StudyUnreadable
    naming a damaged file.
    """
    parts = []
    for trial in trials:
        step = study.table.row(trial).step
        rows = study.evaluations_of([trial], [c for c in _COLUMNS if c != "trial"], [step])
        if rows.empty:
            continue
        outcomes = sampled_outcomes(rows)
        if not len(outcomes.keys):
            continue
        ks = _powers(int(outcomes.samples.max()))
        parts += [set_means(outcomes, outcomes.pass_at(k)).assign(k=k) for k in ks]
    if not parts:
        return pd.DataFrame(columns=["trial", "seed", "problem_set", "k", "value"])
    found = pd.concat(parts, ignore_index=True)
    keys = ["trial", "seed", "problem_set"]
    whole = found.groupby(keys)["problems"].transform("max")
    kept = found[found["problems"] == whole][[*keys, "k", "value"]]
    declared = _declared_sets(study, trials)
    rank = kept["problem_set"].map(lambda name: declared.get(name, len(declared)))
    order = kept.assign(_rank=rank).sort_values("_rank", kind="stable").index
    return kept.loc[order].reset_index(drop=True)


def _declared_sets(study: StudyResults, trials: Sequence[str]) -> dict[str, int]:
    """Problem set -> its place in the configurations of the trials."""
    evaluations = [study.configs.get(trial, {}).get("evaluation", {}) for trial in trials]
    named = [
        name
        for evaluation in evaluations
        if isinstance(evaluation.get("sets"), list)
        for name in evaluation["sets"]
    ]
    return {str(name): place for place, name in enumerate(dict.fromkeys(map(str, named)))}


def _powers(largest: int) -> list[int]:
    """1, 2, 4, ... and `largest`; nothing for 0."""
    ks = [1 << power for power in range(largest.bit_length()) if 1 << power <= largest]
    return sorted({*ks, largest} - {0})
