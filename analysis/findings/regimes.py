"""A map of objectives over off-policyness: every cell at its own best, compared within its column.

A cell is a stratum of a study: an objective at E optimiser steps per rollout batch, with the best
of the settings that the study chooses over. Its values are those of the run that confirmed it, on
seeds and problems that chose nothing. Several studies make one map, such as one for each E.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from analysis.findings.collapses import rate_of
from analysis.findings.final_scores import final_scores, score_interval
from analysis.findings.metric_difference import is_share
from analysis.findings.naming import describe
from analysis.findings.trial_settings import optimiser_steps
from analysis.load.study import StudyResults
from analysis.statistics.intervals import Interval, mean_interval
from analysis.statistics.scores import Scores
from conspo_study.results.strata import Stratum, chosen_over, strata_of
from conspo_study.results.table import TrialRow


@dataclass(frozen=True)
class Cell:
    """An objective at one E."""

    objective: str
    steps: int
    """E, optimiser steps per rollout batch."""
    study: StudyResults
    searched: tuple[TrialRow, ...]
    """The stratum."""
    chosen: TrialRow | None
    """The best of it; None while there is none."""
    run: TrialRow | None
    """The run that its values are of: a confirmation, or the only trial of a stratum that nothing
    was chosen in; None while there is none with values."""
    before: Cell | None = None
    """The same cell as it was before another study ran it again on further seeds."""

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.objective} at E {self.steps}"

    @property
    def values(self) -> Mapping[int, float]:
        """The study's metric by seed."""
        return self.run.values if self.run else {}

    @property
    def mean(self) -> float | None:
        """Over all seeds, collapsed ones included."""
        return fmean(self.values.values()) if self.values else None

    @cached_property
    def collapsed(self) -> tuple[int, ...]:
        """The seeds that collapsed."""
        return tuple(rate_of(self.study, self.run).seeds) if self.run else ()

    @cached_property
    def scores(self) -> Scores | None:
        """By seed and problem; None where the values by seed are all there is."""
        return final_scores(self.study, self.run) if self.run else None

    @cached_property
    def interval(self) -> Interval | None:
        """95 % interval of the mean: over seeds and problems, over seeds where these are all there
        is; None for a single seed, or without variation."""
        return score_interval(self.scores) or mean_interval(list(self.values.values()))

    @property
    def change(self) -> float | None:
        """Value in the search minus the confirmed mean; None where nothing was confirmed."""
        if self.chosen is None or self.chosen.value is None or self.mean is None:
            return None
        return None if self.run is self.chosen else self.chosen.value - self.mean


@dataclass(frozen=True)
class RegimeMap:
    """The cells of one or several studies that measured alike."""

    studies: tuple[StudyResults, ...]
    cells: tuple[Cell, ...]
    """At least one, by E, then in the order of the strata; no two of one objective and E."""

    @property
    def metric(self) -> str:
        """The metric of all of them."""
        return self.studies[0].metric

    @property
    def better(self) -> int:
        """1 if more of the metric is better, -1 if less is."""
        return 1 if self.studies[0].direction == "max" else -1

    @property
    def objectives(self) -> tuple[str, ...]:
        """The rows of the map."""
        return tuple(dict.fromkeys(cell.objective for cell in self.cells))

    @property
    def steps(self) -> tuple[int, ...]:
        """The columns of the map, ascending."""
        return tuple(sorted({cell.steps for cell in self.cells}))

    @property
    def chosen_over(self) -> tuple[str, ...]:
        """The settings that every cell is at its own best of."""
        return tuple(dict.fromkeys(p for s in self.studies for p in chosen_over(s.definition)))

    @property
    def share(self) -> bool:
        """Whether the metric is an accuracy, whose differences are percentage points."""
        return is_share(self.studies[0])

    def cell(self, objective: str, steps: int) -> Cell | None:
        """None where the map has no such cell."""
        chosen = (c for c in self.cells if (c.objective, c.steps) == (objective, steps))
        return next(chosen, None)


def is_mapped(study: StudyResults) -> bool:
    """Whether a study confirms the best of each stratum, and so makes a map."""
    return not study.problem and bool(chosen_over(study.definition))


def regime_map(studies: Sequence[StudyResults]) -> RegimeMap:
    """The map of these studies.

    A study without strata of its own, such as one that ran boundary cells again, replaces the
    cells that it has in common with others. Raises ValueError for studies of different metrics,
    for ones that measured on different splits, and where two strata would be one cell.
    """
    metrics = {(study.metric, study.direction) for study in studies}
    if len(metrics) > 1:
        named = ", ".join(sorted(metric for metric, _ in metrics))
        raise ValueError(f"the studies select by different metrics, {named}: make a map of each")
    over = tuple(dict.fromkeys(path for s in studies for path in chosen_over(s.definition)))
    # Those without strata come last: what ran again replaces what ran before.
    ordered = sorted(studies, key=lambda study: not chosen_over(study.definition))
    found: dict[str, tuple[StudyResults, Stratum]] = {}
    earlier: dict[str, tuple[StudyResults, Stratum]] = {}
    for study in ordered:
        for stratum in strata_of(study.table.rows, over):
            known = found.get(stratum.key)
            if known is not None and chosen_over(study.definition):
                raise ValueError(
                    f"{known[0].folder} and {study.folder} both have {stratum.rows[0].label!r}: "
                    "name one of them"
                )
            if known is not None:
                earlier[stratum.key] = known
            found[stratum.key] = study, stratum
    if not found:
        raise ValueError("no trial has begun: there is nothing to map")
    cells = []
    for (key, (study, stratum)), name in zip(
        found.items(), _names(list(found.values())), strict=True
    ):
        before = _cell(*earlier[key], *name) if key in earlier else None
        cells.append(replace(_cell(study, stratum, *name), before=before))
    _check_alike(cells)
    return RegimeMap(tuple(studies), tuple(sorted(cells, key=lambda cell: cell.steps)))


def _cell(study: StudyResults, stratum: Stratum, name: str, steps: int) -> Cell:
    chosen = stratum.winner(study.direction)
    run = None
    if chosen is not None:
        again = (row for row in study.table.confirmations if row.of == chosen.id)
        run = next(again, None) if study.definition.get("confirm") else None
        if run is None and len(stratum.rows) == 1 and not chosen_over(study.definition):
            run = chosen
    ended = run is not None and run.state.has_result
    whole = run is not None and ended and bool(run.values) and not run.missing_seeds
    return Cell(name, steps, study, stratum.rows, chosen, run if whole else None)


def _names(strata: Sequence[tuple[StudyResults, Stratum]]) -> list[tuple[str, int]]:
    """Objective and E of each; an objective is the first part of the label."""
    named = []
    for study, stratum in strata:
        row = stratum.rows[0]
        first = row.label.partition(",")[0].strip()
        named.append((first or describe(study, row), optimiser_steps(study, row)))
    counts = Counter(named)
    whole = [
        (stratum.rows[0].label if counts[name] > 1 and stratum.rows[0].label else name[0], name[1])
        for (_, stratum), name in zip(strata, named, strict=True)
    ]
    if twice := [name for name, count in Counter(whole).items() if count > 1]:
        raise ValueError(
            f"two strata would be {twice[0][0]!r} at E {twice[0][1]}: give their anchors labels "
            "whose first parts differ"
        )
    return whole


def _check_alike(cells: Sequence[Cell]) -> None:
    """Raises ValueError where cells were measured on different splits or lengths of training."""
    for stage, setting in (("evaluation", "split"), ("train", "steps")):
        seen: dict[str, str] = {}
        for cell in cells:
            if cell.run is not None and not cell.study.function:
                config = cell.study.configs.get(cell.run.id, {}).get(stage, {})
                seen.setdefault(str(config.get(setting)), f"{cell.study.folder} {cell.run.id}")
        if len(seen) > 1:
            told = ", ".join(f"{value} in {where}" for value, where in sorted(seen.items()))
            raise ValueError(f"the runs differ in {stage}.{setting}, and do not compare: {told}")
