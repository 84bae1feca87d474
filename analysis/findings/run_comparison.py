"""Settings of anyone's runs against one of them, seed by seed: differences, tests, power.

The family is every other setting against the reference. Each difference has its 95 % interval and
one that holds for the whole family at once (Bonferroni), Holm's p, a verdict (better, worse,
equivalent within a margin, or undecided), and the smallest difference that this test would have
found, at the level that the family leaves it (alpha / m).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, stdev

from analysis.findings.metric_difference import MARGIN
from analysis.findings.runs_at_step import RunsAtStep
from analysis.load.text import visible
from analysis.statistics.bootstrap import difference
from analysis.statistics.family_tests import FamilyTest, Verdict, family_tests
from analysis.statistics.intervals import difference_contrast, paired_difference
from analysis.statistics.scores import Scores, aligned
from analysis.statistics.selection import SelectionBias, left_out_bias
from conspo_study.statistics.contrast import Contrast, paired_contrast, usable
from conspo_study.statistics.family import Family
from conspo_study.statistics.power import ALPHA
from conspo_study.text import counted

_LEAST_OF_SHARES = 0.1
"""Values of which none reaches it are not taken for shares: a KL of 0.001 is none."""


class Pairing(StrEnum):
    """How a difference was taken."""

    SEEDS = "by seed"
    PROBLEMS = "by seed and problem"
    NONE = "none (Welch)"


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting minus the reference."""

    setting: str
    pairing: Pairing
    value: float
    by_seed: Mapping[int, float]
    """Of the shared seeds; empty where seeds are not paired."""
    seeds: tuple[int, int]
    """Seeds of the setting and of the reference that count."""
    problems: int
    """Shared problems; 0 where there are none or they are taken as fixed."""
    contrast: Contrast | None
    """None where there is no interval."""
    reason: str = ""
    """Why there is none."""
    tested: FamilyTest | None = None
    """As one of the family; None before it is."""

    @property
    def adjusted(self) -> float | None:
        """Holm's p."""
        return self.tested.adjusted if self.tested else None


@dataclass(frozen=True, slots=True)
class RunComparison:
    """All settings against the reference."""

    runs: RunsAtStep
    reference: str
    differences: tuple[SettingDifference, ...]
    lower_is_better: bool
    notes: tuple[str, ...]
    """What was decided, in sentences."""
    selected: str | None = None
    """The setting that a search chose."""
    bias: SelectionBias | None = None
    """Of choosing the best of these settings; None unless `selected` is given."""
    margin: float | None = None
    """Differences below it count as none, in units of the metric; None: nothing is equivalent."""
    share: bool = False
    """Whether the values are shares, as far as they tell; see `compare_runs`."""

    @property
    def alpha(self) -> float:
        """Level that the family leaves each difference at least."""
        return ALPHA / max(1, len(self.differences))

    def verdict(self, item: SettingDifference) -> Verdict:
        """What the family's tests show of one of the differences."""
        if item.tested is None:
            return Verdict.UNDECIDED
        return item.tested.verdict(min(item.seeds), lower_is_better=self.lower_is_better)


def compare_runs(
    runs: RunsAtStep,
    *,
    reference: str | None = None,
    lower_is_better: bool = False,
    unpaired: bool = False,
    selected: str | None = None,
    margin: float | None = None,
) -> RunComparison:
    """Compare every setting with the reference, by default the first.

    unpaired: treat seeds of two settings as unrelated. selected: the setting that was chosen as
    the best of these. margin: differences below it count as none; by default 0.02 of shares, which
    are values that all lie between 0 and 1 and reach 0.1: a loss or a divergence may be tiny, and
    differ by less than two points where one is ten times the other. Raises ValueError for a
    setting that is not there, for a single one, and for a margin that is not positive.
    """
    settings = list(runs.values)
    if len(settings) < 2:
        raise ValueError(
            f"one setting, {visible(settings[0], 60)}, has nothing to be compared with: give files "
            "of several, or name the columns that make a setting with --setting"
        )
    notes = list(runs.notes)
    if reference is None:
        notes.append(f"The reference is {visible(settings[0], 60)}, the first; --reference NAME.")
    chosen = _known(reference or settings[0], settings, "--reference")
    found = [_difference(runs, name, chosen, unpaired) for name in settings if name != chosen]
    told = [value for values in runs.values.values() for value in values.values()]
    share = all(0 <= value <= 1 for value in told) and max(told, default=0) >= _LEAST_OF_SHARES
    if margin is not None and not 0 < margin < math.inf:
        raise ValueError(f"--margin {margin:g} is not a positive number")
    margin = margin or (MARGIN if share else None)
    family = Family(tuple((item.setting, chosen) for item in found))
    tests = family_tests([item.contrast for item in found], family, margin)
    differences = tuple(replace(item, tested=test) for item, test in zip(found, tests, strict=True))
    notes += _unpaired_notes(runs, chosen, differences, unpaired)
    bias = None
    if selected is not None:
        _known(selected, settings, "--selected")
        bias = left_out_bias(runs.values, lower_is_better=lower_is_better)
    return RunComparison(
        runs, chosen, differences, lower_is_better, tuple(notes), selected, bias, margin, share
    )


def _known(name: str, settings: Sequence[str], option: str) -> str:
    if name in settings:
        return name
    near = difflib.get_close_matches(name, settings, 1)
    hint = f" (did you mean {visible(near[0], 60)}?)" if near else ""
    listed = ", ".join(visible(one, 60) for one in settings[:20])
    raise ValueError(f"{option} {visible(name, 60)}: no such setting{hint}; there are {listed}")


def _difference(runs: RunsAtStep, name: str, reference: str, unpaired: bool) -> SettingDifference:
    values, others = runs.values[name], runs.values[reference]
    shared = values.keys() & others.keys()
    if unpaired or len(shared) < 2 <= min(len(values), len(others)):
        return _of_unrelated(name, values, others)
    if runs.scores:
        found = _by_problem(name, runs.scores[name], runs.scores[reference])
        if found is not None:
            return found
    paired = paired_difference(values, others)
    if paired is None:
        return _of_unrelated(name, values, others)
    return SettingDifference(
        name,
        Pairing.SEEDS,
        paired.mean,
        paired.by_seed,
        (len(paired.by_seed), len(paired.by_seed)),
        0,
        *paired_contrast(values, others),
    )


def _by_problem(name: str, scores: Scores, others: Scores) -> SettingDifference | None:
    """None where the two share no problem."""
    pair = aligned(scores, others)
    found = difference(scores, others)
    if pair is None or found is None:
        return None
    (metric,) = pair[0].benchmarks
    means = [side.by_seed(metric) for side in pair]
    by_seed = {seed: means[0][seed] - means[1][seed] for seed in means[0]}
    return SettingDifference(
        name,
        Pairing.PROBLEMS,
        found.value,
        by_seed,
        (found.seeds, found.seeds),
        found.problems,
        found.contrast,
        found.no_interval,
    )


def _of_unrelated(
    name: str, values: Mapping[int, float], others: Mapping[int, float]
) -> SettingDifference:
    samples = [*values.values()], [*others.values()]
    contrast = difference_contrast(*samples) if min(map(len, samples)) > 1 else None
    return SettingDifference(
        name,
        Pairing.NONE,
        fmean(samples[0]) - fmean(samples[1]),
        {},
        (len(samples[0]), len(samples[1])),
        0,
        *usable(contrast, [*samples[0], *samples[1]]),
    )


def _unpaired_notes(
    runs: RunsAtStep, reference: str, differences: Sequence[SettingDifference], unpaired: bool
) -> list[str]:
    others = set(runs.values[reference])
    notes = []
    for item in differences:
        seeds = set(runs.values[item.setting])
        name = visible(item.setting, 60)
        if item.pairing is Pairing.NONE:
            if not unpaired:
                what = counted(len(seeds & others), "seed")
                notes.append(
                    f"{name} shares {what} with the reference: compared unpaired, by Welch's test."
                )
            continue
        for only, owner in ((seeds - others, name), (others - seeds, "the reference")):
            if only:
                listed = ", ".join(map(str, sorted(only)[:10])) + (" ..." if len(only) > 10 else "")
                notes.append(f"{name}: seed {listed} only of {owner}, left out of the difference.")
    if unpaired:
        notes.append("Seeds are not paired, as asked: Welch's test.")
    if runs.scores and any(item.pairing is not Pairing.PROBLEMS for item in differences):
        notes.append("Where problems are not paired, the intervals are for these problems alone.")
    return notes


def spread(values: Mapping[int, float]) -> float | None:
    """Standard deviation over seeds; None for one."""
    return stdev(values.values()) if len(values) > 1 else None
