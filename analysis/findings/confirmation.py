"""The winner against the baselines on fresh seeds and problems, and the selection bias.

A baseline is what a definition calls an anchor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from analysis.findings.final_scores import final_scores, score_interval
from analysis.findings.metric_difference import (
    Judged,
    is_share,
    judged,
    metric_difference,
)
from analysis.findings.study_family import declared_family
from analysis.load.study import StudyResults
from analysis.statistics.intervals import (
    Interval,
    PairedDifference,
    difference_interval,
    mean_interval,
    paired_difference,
)
from analysis.statistics.scores import Scores
from analysis.statistics.selection import SelectionBias, advantages
from conspo_study.records import is_generated
from conspo_study.results.strata import chosen_over, strata_of
from conspo_study.results.table import TrialRow
from conspo_study.statistics.family import winner_family


@dataclass(frozen=True)
class Confirmed:
    """A search trial and its second run; the run may be absent or incomplete."""

    search: TrialRow
    run: TrialRow | None
    """None while it has not been suggested."""
    role: str
    """`winner`, `anchor`, or `earlier winner` of a study that was extended since; `best` for the
    winner of a stratum."""
    study: StudyResults

    @property
    def values(self) -> Mapping[int, float]:
        """The study's metric per fresh seed; empty until the run has finished."""
        finished = self.run is not None and self.run.state.has_result
        return self.run.values if finished and self.run else {}

    @property
    def complete(self) -> bool:
        """True when all fresh seeds have a value."""
        return bool(self.values) and self.run is not None and not self.run.missing_seeds

    @property
    def mean(self) -> float | None:
        """Mean over the fresh seeds that have a value."""
        return fmean(self.values.values()) if self.values else None

    @cached_property
    def scores(self) -> Scores | None:
        """The study's metric by fresh seed and problem; None where no responses that give it
        are stored."""
        if self.run is None or not self.values:
            return None
        return final_scores(self.study, self.run)

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the mean: over seeds and problems where the responses are stored and
        support one, else Student's over seeds; None for fewer than two."""
        return self._of_responses or mean_interval(list(self.values.values()))

    @property
    def over_problems(self) -> bool:
        """Whether `interval` is over seeds and problems."""
        return self._of_responses is not None

    @cached_property
    def _of_responses(self) -> Interval | None:
        return score_interval(self.scores)

    @property
    def selected_on(self) -> Mapping[int, float]:
        """The study's metric per search seed; empty for a trial that did not finish with all."""
        usable = self.search.state.has_result and not self.search.missing_seeds
        return self.search.values if usable else {}

    @property
    def drop(self) -> float | None:
        """Mean in the search minus mean in the confirmation, both over all of their seeds."""
        if not self.complete or not self.selected_on or self.mean is None:
            return None
        return fmean(self.selected_on.values()) - self.mean


@dataclass(frozen=True)
class Confirmation:
    """The confirmed trials of a study so far."""

    study: StudyResults
    trials: tuple[Confirmed, ...]
    """The winner first, when it is known; then the baselines in the order of the search."""

    @property
    def winner(self) -> Confirmed | None:
        """The trial that the search selects, whether or not it has been run again."""
        return next((trial for trial in self.trials if trial.role.startswith("winner")), None)

    @property
    def anchors(self) -> tuple[Confirmed, ...]:
        """The baselines that the winner is compared with."""
        return tuple(trial for trial in self.trials if trial.role == "anchor")

    def advantage(self, anchor: Confirmed) -> PairedDifference | None:
        """Winner minus baseline on the fresh seeds that both have; None without any."""
        if self.winner is None:
            return None
        return paired_difference(self.winner.values, anchor.values)

    @cached_property
    def compared(self) -> Mapping[str, Judged]:
        """Winner minus baseline, by the baseline's search trial: one family, in its order. Empty
        without a winner; a baseline that has not been run again counts as one of the family."""
        winner = self.winner
        if winner is None or not self.anchors:
            return {}
        differences = [
            metric_difference(winner.values, anchor.values, (winner.scores, anchor.scores))
            for anchor in self.anchors
        ]
        names = [anchor.search.id for anchor in self.anchors]
        family = winner_family(winner.search.id, names, declared_family(self.study))
        found = judged(
            differences,
            family,
            share=is_share(self.study),
            lower_is_better=self.study.direction == "min",
        )
        return dict(zip(names, found, strict=True))

    @cached_property
    def bias(self) -> SelectionBias | None:
        """None until the winner and a baseline have all seeds of both stages."""
        winner = self.winner
        usable = [anchor for anchor in self.anchors if anchor.drop is not None]
        if winner is None or winner.drop is None or not usable:
            return None
        drops = [anchor.drop for anchor in usable if anchor.drop is not None]
        searched = advantages(winner.selected_on, [anchor.selected_on for anchor in usable])
        again = advantages(winner.values, [anchor.values for anchor in usable])
        interval = difference_interval(searched, again)
        return SelectionBias(winner.drop, fmean(drops), len(usable), interval)

    def problems(self, trial: Confirmed) -> str:
        """The problems of the run in words, such as `test problems`."""
        settings = [
            _evaluation(self.study, row.id) for row in (trial.search, trial.run) if row is not None
        ]
        if len(settings) < 2 or not all(settings):
            return "problems"
        name = self.study.metric.removeprefix("eval/").rpartition("/")[0]
        has_splits = is_generated(name) or "{split}" in name
        if has_splits and settings[0].get("split") != settings[1].get("split"):
            return f"{settings[1].get('split')} problems"
        return "the same problems as in the search"


def confirmation_of(study: StudyResults) -> Confirmation | None:
    """None for a study that has no confirmation and declares none, or has lost its definition."""
    declared = study.definition.get("confirm")
    runs = {row.of: row for row in study.table.confirmations}
    if study.problem or (not declared and not runs):
        return None
    winner = study.best if _search_is_over(study) else None
    asked = (declared or {}).get("anchors")
    if chosen_over(study.definition):
        return Confirmation(study, tuple(_of_strata(study, runs, asked or ())))
    trials = []
    for row in study.table.rows:
        wanted = bool(declared) and row.label and (asked is None or row.label in asked)
        if winner is not None and row.id == winner.id:
            role = "winner (anchor)" if row.label else "winner"
        elif row.label and (wanted or row.id in runs):
            role = "anchor"
        elif row.id in runs:
            role = "earlier winner"
        else:
            continue
        trials.append(Confirmed(row, runs.get(row.id), role, study))
    trials.sort(key=lambda trial: not trial.role.startswith("winner"))
    return Confirmation(study, tuple(trials))


def _of_strata(
    study: StudyResults, runs: Mapping[str, TrialRow], asked: Collection[str]
) -> Iterator[Confirmed]:
    """The best trial of every stratum that has ended, and what else was or will be run again, in
    the order of the search."""
    strata = strata_of(study.table.rows, chosen_over(study.definition))
    winners = {
        best.id for one in strata if one.ended and (best := one.winner(study.direction)) is not None
    }
    for row in study.table.rows:
        named = bool(row.label) and row.label in asked
        if row.id in winners:
            yield Confirmed(row, runs.get(row.id), "best", study)
        elif named or row.id in runs:
            role = "anchor" if named else "earlier winner"
            yield Confirmed(row, runs.get(row.id), role, study)


def _search_is_over(study: StudyResults) -> bool:
    """True when no search trial can change the winner any more."""
    table = study.table
    over = bool(table.rows) and all(row.state.ended for row in table.rows)
    # A budget may be larger than the space: then the end of the study says so.
    budget = table.trials or study.definition.get("trials") or 0
    confirmed = any(study.best and row.of == study.best.id for row in table.confirmations)
    return over and (table.finished or confirmed or len(table.rows) >= budget)


def _evaluation(study: StudyResults, trial: str) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = study.configs.get(trial, {}).get("evaluation", {})
    return settings
