"""Scores of trials by method and benchmark, computed from their stored responses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.collapses import rate_of
from analysis.load.published import BASE, BENCHMARKS, published_results
from analysis.load.study import StudyResults, StudyUnreadable
from analysis.statistics.accuracy import Outcomes, greedy_outcomes, sampled_outcomes, set_means
from analysis.statistics.scores import Floats, ProblemScores, Scores
from conspo_study.results.rows import MEASURED, read_eval_table
from conspo_study.results.table import TrialRow
from conspo_study.text import first_line

_UNEVEN = (
    "its evaluations have different numbers of problems: the best is the largest of means that "
    "vary differently"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial and the method that it represents."""

    method: str
    study: StudyResults
    row: TrialRow

    @property
    def origin(self) -> str:
        """The study and trial of the numbers, for people."""
        return f"{self.study.name} {self.row.id}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One method at its trial's last step, or the untrained policy."""

    origin: str
    scores: Scores | None
    """None when there are none; the notes then give the reason."""
    undecided: int = 0
    """Responses that count as wrong because their check came to no verdict."""
    decided: Mapping[str, float] = field(default_factory=dict)
    """By benchmark that has some: the mean over seeds with them left out, if the metric is an
    average over responses."""
    unreadable: int = 0
    """Responses left out because the gold answer of their problem cannot be read."""
    notes: tuple[str, ...] = ()
    """Missing values and their reasons, and how many seeds collapsed."""
    best: Mapping[str, float] = field(default_factory=dict)
    """By benchmark, at each seed's best evaluation instead of its last: the mean over seeds. Empty
    unless asked for, and where only the last one measured all benchmarks."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Methods that were measured alike: by one metric, on one split."""

    metric: str
    """`avg@8`, `pass@4`, `maj@8` or `greedy`; where benchmarks have different numbers of samples,
    all of them, as in `avg@1, avg@32`."""
    split: str
    """The split of generated sets, `dev` or `test`; empty for training functions."""
    methods: Mapping[str, Measured]
    """The untrained policy first, as `base`; then in the order of the trials."""
    notes: tuple[str, ...] = ()
    """Notes about no single method."""
    by_benchmark: Mapping[str, str] = field(default_factory=dict)
    """The metric of single benchmarks."""
    order: tuple[str, ...] = ()
    """Benchmarks as the studies list them."""

    def metric_of(self, benchmark: str) -> str:
        """The metric of a benchmark, or of the average over all."""
        return self.by_benchmark.get(benchmark, self.metric)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks of all methods, in the studies' order where it is known."""
        measured = [one.scores.benchmarks for one in self.methods.values() if one.scores]
        found = dict.fromkeys(name for names in measured for name in names)
        listed = [name for name in self.order if name in found]
        return tuple(dict.fromkeys([*listed, *found]))

    @property
    def scores(self) -> dict[str, Scores]:
        """Of the methods that have any."""
        return {name: one.scores for name, one in self.methods.items() if one.scores}

    def by_seed(self, method: str, benchmark: str) -> dict[int, float] | None:
        """Mean over problems for every seed, as a fraction; None where there is none."""
        scores = self.scores.get(method)
        known = scores is not None and benchmark in scores.benchmarks
        return scores.by_seed(benchmark) if scores is not None and known else None


def labelled(study: StudyResults, rows: Iterable[TrialRow] | None = None) -> list[Trial]:
    """The labelled trials of a study, or `rows` of it, such as its confirmations.

    A trial's method is its label; an ablation's is the published row's name; that of a confirmed
    trial without a label says which trial won. `dataclasses.replace` gives any other name.
    """
    chosen = [row for row in study.table.rows if row.label] if rows is None else rows
    return [Trial(_method(row), study, row) for row in chosen]


def measured(trials: Sequence[Trial], metric: str = "avg", *, best: bool = False) -> Measurements:
    """Scores of trials of one or several studies, and of the policy that they started from.

    metric: `avg` (over all samples there are), `pass@K`, `maj@K` or `greedy`. best: whether the
    best evaluations are looked for, too. Only trials with a result have scores, at their last step;
    the notes name what others lack. Raises StudyUnreadable for a damaged evaluation file,
    ValueError for an unknown metric, for two trials of one name, and for trials that were measured
    with different numbers of samples on one set or on different splits.
    """
    methods: dict[str, Measured] = {}
    found: dict[str, Outcomes] = {}
    starts: dict[int, pd.DataFrame] = {}
    notes: list[str] = []
    for trial in trials:
        if trial.method in (*methods, BASE):
            raise ValueError(
                f"two rows would be called {trial.method!r}: give {trial.origin} a name"
            )
        responses = _responses(trial)
        last = responses[responses["step"] == trial.row.step]
        if trial.row.state.has_result:
            found[trial.method] = _outcomes(last, metric)
            one = _measured(trial.origin, found[trial.method], trial.row.seeds, metric)
            collapsed = rate_of(trial.study, trial.row).sentence
            notes_of = (*one.notes, collapsed) if collapsed else one.notes
            methods[trial.method] = replace(one, notes=notes_of)
            if best and one.scores is not None:
                after = responses[(responses["step"] > 0) & responses["seed"].isin(trial.row.seeds)]
                chosen, said = _best(_outcomes(after, metric), one.scores, metric)
                methods[trial.method] = replace(
                    methods[trial.method], best=chosen, notes=(*notes_of, *said)
                )
        else:
            methods[trial.method] = Measured(trial.origin, None, notes=(_state(trial.row),))
        for seed, start in responses[responses["step"] == 0].groupby("seed"):
            start = start.reset_index(drop=True)
            if not starts.setdefault(int(str(seed)), start).equals(start):
                notes = ["There is no base row: the trials' policies differ before training"]
    if not starts:
        notes = ["There is no base row: no trial was evaluated before training"]
    if not notes:
        found[BASE] = _outcomes(pd.concat(starts.values()), metric)
        methods = {BASE: _measured("step 0", found[BASE], tuple(sorted(starts)), metric), **methods}
    kinds: dict[str, set[str]] = {}
    for outcomes in found.values():
        for name, label in _labels(outcomes, metric).items():
            kinds.setdefault(name, set()).add(label)
    splits = {_split(trial) for trial in trials}
    for differing in (*kinds.values(), splits):
        if len(differing) > 1:
            raise ValueError(
                f"trials were measured as {' and '.join(sorted(differing))}; make a table of each"
            )
    return Measurements(
        metric=", ".join(sorted(set().union(*kinds.values()))) or metric,
        split="".join(splits),
        methods=methods,
        notes=(*notes, *_differing_problems(methods)),
        by_benchmark={name: label for name, labels in kinds.items() for label in labels},
        order=tuple(dict.fromkeys(name for trial in trials for name in _listed(trial))),
    )


def benchmark_name(problem_set: str) -> str:
    """`data/aime24.jsonl` is the published `AIME24`; any other set keeps its name."""
    known = {name.casefold(): name for name in BENCHMARKS}
    return known.get(PurePath(problem_set).stem.casefold(), problem_set)


def _method(row: TrialRow) -> str:
    if not row.label:
        return f"winner ({row.of})" if row.of else row.id
    variant = f"ConSPO ({row.label})"
    return variant if variant in {known.method for known in published_results()} else row.label


def _state(row: TrialRow) -> str:
    return f"{row.state} at step {row.step}" + (f": {first_line(row.cause)}" if row.cause else "")


def _responses(trial: Trial) -> pd.DataFrame:
    try:
        table = read_eval_table(trial.study.trial_folder(trial.row.id), columns=MEASURED)
    except ValueError as error:
        raise StudyUnreadable(str(error)) from error
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _split(trial: Trial) -> str:
    if trial.study.function:
        return ""
    config = trial.study.configs.get(trial.row.id, {}).get("evaluation", {})
    return str(config.get("split", "dev"))


def _listed(trial: Trial) -> list[str]:
    """The benchmarks of a trial in the order of its configuration."""
    return [benchmark_name(name) for name in trial.study.sets_of(trial.row.id)]


def _outcomes(responses: pd.DataFrame, metric: str) -> Outcomes:
    return greedy_outcomes(responses) if metric == "greedy" else sampled_outcomes(responses)


def metric_values(outcomes: Outcomes, metric: str) -> Floats:
    """The metric by seed, step and problem, in the order of the outcomes.

    metric: `avg` (over all samples there are), `pass@K`, `maj@K` or `greedy`; greedy outcomes go
    with the last. Raises ValueError for an unknown one.
    """
    kind, _, k = metric.partition("@")
    if metric in ("avg", "greedy"):
        return outcomes.avg()
    if kind in ("pass", "maj") and k.isdecimal():
        return outcomes.pass_at(int(k)) if kind == "pass" else outcomes.maj_at(int(k))
    raise ValueError(f"unknown metric {metric!r}; known: avg, pass@K, maj@K, greedy")


def _labels(outcomes: Outcomes, metric: str) -> dict[str, str]:
    """The metric of each benchmark; an average has its largest number of samples."""
    samples = outcomes.keys.assign(samples=np.maximum(outcomes.samples, outcomes.undecided))
    most = samples.groupby("problem_set")["samples"].max()
    return {
        benchmark_name(str(name)): f"avg@{count}" if metric == "avg" else metric
        for name, count in most.items()
    }


def _measured(origin: str, outcomes: Outcomes, seeds: Sequence[int], metric: str) -> Measured:
    """outcomes: of one step."""
    keys = outcomes.keys.assign(value=metric_values(outcomes, metric))
    sets = {str(name): found for name, found in keys.groupby("problem_set", sort=False)}
    valued = [set(found.loc[found["value"].notna(), "seed"]) for found in sets.values()]
    complete = [seed for seed in seeds if valued and all(seed in having for having in valued)]
    missing = ", ".join(str(seed) for seed in seeds if seed not in complete)
    notes = (f"no whole evaluation of seed {missing}",) if missing else ()
    if not complete:
        return Measured(origin, None, notes=notes or ("it has no seeds",))
    benchmarks = {benchmark_name(name): _matrix(found, complete) for name, found in sets.items()}
    if len(benchmarks) < len(sets):
        raise ValueError(f"{origin}: two of the sets {', '.join(sets)} are the same benchmark")
    scores = Scores(tuple(complete), benchmarks)
    counts = outcomes.samples > 0
    return Measured(
        origin,
        scores,
        int(outcomes.undecided[counts].sum()),
        _decided(outcomes, complete) if metric in ("avg", "greedy") else {},
        int(outcomes.undecided[~counts].sum()),
        notes,
    )


def _decided(outcomes: Outcomes, seeds: Sequence[int]) -> dict[str, float]:
    """`Measured.decided`; nothing for a benchmark on which a seed has no verdict at all."""
    lacking = (outcomes.decided < outcomes.samples) & outcomes.keys["seed"].isin(seeds).to_numpy()
    means = set_means(outcomes, outcomes.avg_decided())
    found = {}
    for name in outcomes.keys.loc[lacking, "problem_set"].unique():
        by_seed = means[(means["problem_set"] == name) & means["seed"].isin(seeds)]
        if len(by_seed) == len(seeds):
            found[benchmark_name(str(name))] = float(by_seed["value"].mean())
    return found


def _best(
    outcomes: Outcomes, last: Scores, metric: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """By benchmark: the mean over seeds at the evaluation where a seed's average over benchmarks
    was best; and what is to be said of it. Evaluations that lack a benchmark do not count.

    last: the scores at the last step. Nothing where the last is the only one.
    """
    means = set_means(outcomes, metric_values(outcomes, metric))
    means["problem_set"] = [benchmark_name(str(name)) for name in means["problem_set"]]
    wide = means.pivot(index=["seed", "step"], columns="problem_set", values="value")
    whole = wide[list(last.benchmarks)].dropna()
    whole = whole[whole.index.get_level_values("seed").isin(last.seeds)]
    by_seed = whole.mean(axis=1).groupby(level="seed")
    if by_seed.size().max() < 2:
        return {}, ("only the last evaluation measured all benchmarks",)
    found = {str(name): float(value) for name, value in whole.loc[by_seed.idxmax()].mean().items()}
    return found, (_UNEVEN,) if _uneven(outcomes, whole.index) else ()


def _uneven(outcomes: Outcomes, evaluations: pd.Index[Any]) -> bool:
    """Whether a set has more problems in one of the evaluations, (seed, step), than in another."""
    sizes = outcomes.keys.groupby(["seed", "step", "problem_set"]).size().unstack("problem_set")
    return bool((sizes.loc[evaluations].nunique() > 1).any())


def _matrix(found: pd.DataFrame, seeds: Sequence[int]) -> ProblemScores:
    problem, names = pd.factorize(found["problem_id"])
    row = pd.Index(seeds).get_indexer(pd.Index(found["seed"]))
    values = np.full((len(seeds), len(names)), math.nan)
    values[row[row >= 0], problem[row >= 0]] = found["value"].to_numpy()[row >= 0]
    return ProblemScores(tuple(map(str, names)), values)


def _differing_problems(methods: Mapping[str, Measured]) -> list[str]:
    """A note for each benchmark on which methods have different problems."""
    problems: dict[str, set[frozenset[str]]] = {}
    for one in methods.values():
        for name, found in one.scores.benchmarks.items() if one.scores else ():
            problems.setdefault(name, set()).add(frozenset(found.problems))
    return [
        f"{name}: the methods were measured on different problems"
        for name, sets in problems.items()
        if len(sets) > 1
    ]
