"""The comparisons between the methods of a table, and the scores that they are made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.findings.confirmation import confirmation_of
from analysis.findings.measured import Measurements, Trial, benchmark_name, measured
from analysis.findings.method_differences import AVERAGE
from analysis.findings.metric_difference import is_share
from analysis.findings.study_family import declared_family
from analysis.load.text import metric_label
from analysis.statistics.scores import Scores
from conspo_study.statistics.family import Family, study_family, winner_family


def methods_family(trials: Sequence[Trial]) -> Family:
    """The comparisons of the methods of a table.

    Of confirmations: the winner minus every baseline. Of the labelled trials of one study: those
    that it declares. Else every pair.
    """
    methods = [trial.method for trial in trials]
    study = trials[0].study
    if any(trial.study is not study for trial in trials):
        return study_family(methods, None)
    declared = declared_family(study)
    if all(trial.row.of for trial in trials):
        found = confirmation_of(study)
        winner = found.winner.search.id if found and found.winner else ""
        named = {trial.row.of: trial.method for trial in trials}
        if winner in named:
            baselines = [trial.method for trial in trials if trial.row.label]
            return winner_family(named[winner], baselines, declared)
        return study_family(methods, None)
    named = {trial.row.label: trial.method for trial in trials}
    if len(named) < len(trials):  # one trial under two names
        return study_family(methods, None)
    pairs = tuple(
        (named.get(setting, setting), named.get(reference, reference))
        for setting, reference in declared.pairs
    )
    return Family(pairs, declared.correction, declared.margin, declared.declared)


def of_accuracy(family: Family) -> Family:
    """The same comparisons, of average accuracy: a declared margin is of the study's metric."""
    return replace(family, margin=None)


def in_the_metric(trials: Sequence[Trial], ours: Measurements) -> tuple[str, Mapping[str, Scores]]:
    """What the differences are of, in words, and the scores of the methods by it.

    That is the studies' metric, for which a plan says what can be detected; the average over
    benchmarks where it differs between studies or is not among the scores.
    """
    studies = {trial.study.metric: trial.study for trial in trials}
    if len(studies) > 1 or not all(map(is_share, studies.values())):
        return AVERAGE, ours.scores
    (metric,) = studies
    problems, _, kind = metric.removeprefix("eval/").rpartition("/")
    name = benchmark_name(problems)
    scores = ours.scores if kind.startswith("avg@") else measured(trials, kind).scores
    if not scores or any(name not in found.benchmarks for found in scores.values()):
        return AVERAGE, ours.scores
    return metric_label(metric), {method: found.only(name) for method, found in scores.items()}
