"""Settings against others: does a difference lie in the asymptote, in the efficiency, or in both?

The asymptote's difference is that of A. The efficiency's is the ratio of C_mid: what half of its
own gain costs a setting. Both are paired: the two curves are fitted to the same draws of shared
seeds and problems. A ratio of compute to one common level, half of the smaller gain, stands beside
them; it mixes both, since a higher asymptote reaches any level sooner, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from analysis.findings.curve_fits import CurveFit, at_edge, identified
from analysis.findings.metric_difference import MARGIN
from analysis.findings.study_family import declared_family
from analysis.statistics.equivalence import equivalence_p
from analysis.statistics.family_tests import FamilyTest, family_tests
from analysis.statistics.holm import holm
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.statistics.learning_curves import Resampled, shared
from conspo_study.statistics.contrast import Contrast
from conspo_study.statistics.family import Family
from conspo_study.statistics.power import ALPHA
from conspo_study.text import counted

MOST_UNNAMED = 12
"""More settings than that are compared with a reference, or not at all."""
PER_PAIR = 2
"""Tests of a pair: asymptote and efficiency."""


@dataclass(frozen=True)
class CurveDifference:
    """A setting against another, both of one kind: searched or confirmed."""

    first: str
    second: str
    """Titles."""
    asymptote: FamilyTest
    """Of A of the first minus A of the second, oriented so that more is better."""
    efficiency: FamilyTest
    """Of log C_mid of the first minus that of the second: negative where the first needs less."""
    same: float | None
    """Holm's p of the test that the asymptotes differ by the margin or more; None without one."""
    level: float | None = None
    """Half of the smaller gain; oriented as the asymptotes."""
    log_ratio: Contrast | None = None
    """Logarithm of the ratio of compute to `level`; None where not every draw reaches it."""
    seeds: int = 0
    problems: int = 0
    """Shared; 0 problems where only values by seed are known."""
    reason: str = ""
    """Why nothing is decided, as the end of a sentence; empty where both fits are claimed."""

    @property
    def verdict(self) -> str:
        """`asymptote`, `efficiency`, `both` or `undecided`."""
        found = [
            name
            for name, test in (("asymptote", self.asymptote), ("efficiency", self.efficiency))
            if test.adjusted is not None and test.adjusted < ALPHA
        ]
        return "both" if len(found) == PER_PAIR else found[0] if found else "undecided"

    @property
    def same_asymptote(self) -> bool:
        """Whether the asymptotes are shown to differ by less than the margin."""
        return self.same is not None and self.same < ALPHA


@dataclass(frozen=True)
class CurveFamily:
    """All pairs that are tested together."""

    differences: tuple[CurveDifference, ...]
    margin: float | None
    """Of equal asymptotes, in units of the metric."""
    note: str = ""
    """Why settings are not compared; empty where they are."""
    absent: int = 0
    """Pairs that the study declares and of which a setting has not begun."""

    @property
    def size(self) -> int:
        """Tests: two a pair, those that could not be made included."""
        return PER_PAIR * (len(self.differences) + self.absent)


def curve_family(fits: Sequence[CurveFit], *, share: bool, reference: str | None) -> CurveFamily:
    """The pairs of settings: each against `reference`, else those that the study declares, else
    every pair of up to `MOST_UNNAMED` labelled settings.

    Where both settings of a pair were confirmed, the confirmations are compared. share: whether the
    metric lies between 0 and 1. Raises ValueError for a reference that no setting is called.
    """
    studies = list({id(one.setting.study): one.setting.study for one in fits}.values())
    declared = declared_family(studies[0]) if len(studies) == 1 else None
    margin = (declared.margin if declared else None) or (MARGIN if share else None)
    names, note, absent = _pairs(fits, declared, reference)
    pairs = [_of_one_kind(fits, *pair) for pair in names]
    measured = [_contrasts(*pair) for pair in pairs]
    contrasts = [contrast for one in measured for contrast in (one.asymptote, one.midpoint)]
    contrasts += [None] * (PER_PAIR * absent)
    tests = family_tests(contrasts, Family((("", ""),) * len(contrasts)), None)
    close = [
        equivalence_p(one.asymptote, margin) if one.asymptote and margin else None
        for one in measured
    ]
    same = holm([*close, *[None] * absent])
    differences = [
        CurveDifference(
            first=first.setting.title,
            second=second.setting.title,
            asymptote=tests[PER_PAIR * index],
            efficiency=tests[PER_PAIR * index + 1],
            same=same[index],
            level=one.level,
            log_ratio=one.log_ratio,
            seeds=one.seeds,
            problems=one.problems,
            reason=one.reason,
        )
        for index, ((first, second), one) in enumerate(zip(pairs, measured, strict=True))
    ]
    return CurveFamily(tuple(differences), margin, note, absent)


def _pairs(
    fits: Sequence[CurveFit], declared: Family | None, reference: str | None
) -> tuple[list[tuple[str, str]], str, int]:
    """Names of settings, why there are none, and how many pairs have a setting that has not
    begun."""
    labelled = {one.setting.name: bool(_label(one)) for one in fits}
    if reference is not None:
        known = {name.casefold(): name for name in labelled}
        name = known.get(reference.casefold())
        if name is None:
            raise ValueError(
                f"no setting is called {reference!r}; known: {', '.join(known.values())}"
            )
        return [(other, name) for other in labelled if other != name], "", 0
    names = [name for name, has_label in labelled.items() if has_label]
    if declared is not None and declared.declared:
        begun = [pair for pair in declared.pairs if set(pair) <= set(names)]
        return begun, "", len(declared.pairs) - len(begun)
    if len(names) > MOST_UNNAMED:
        told = (
            f"{len(names)} settings make {len(names) * (len(names) - 1) // 2} pairs; name a "
            "setting with --reference"
        )
        return [], told, 0
    pairs = [(later, earlier) for earlier, later in combinations(names, 2)]
    few = "there are fewer than two labelled settings; name one with --reference"
    return pairs, "" if pairs else few, 0


def _label(fit: CurveFit) -> str:
    study, row = fit.setting.study, fit.setting.row
    return (study.table.row(row.of) if row.of else row).label


def _of_one_kind(fits: Sequence[CurveFit], first: str, second: str) -> tuple[CurveFit, CurveFit]:
    """The confirmations where both have one, else the search's trials."""
    kinds = [
        {bool(one.setting.row.of): one for one in reversed(fits) if one.setting.name == name}
        for name in (first, second)
    ]
    chosen = all(True in kind for kind in kinds)
    return kinds[0][chosen], kinds[1][chosen]


@dataclass(frozen=True)
class _Measured:
    asymptote: Contrast | None = None
    midpoint: Contrast | None = None
    level: float | None = None
    log_ratio: Contrast | None = None
    seeds: int = 0
    problems: int = 0
    reason: str = ""


def _contrasts(first: CurveFit, second: CurveFit) -> _Measured:
    if reasons := list(_obstacles(first, second)):
        return _Measured(reason=" and ".join(reasons))
    assert first.setting.curve is not None and second.setting.curve is not None
    pair = shared(first.setting.curve, second.setting.curve)
    seeds, problems = len(pair[0].seeds), len(pair[0].problems)
    if seeds < FEWEST_SEEDS:
        few = f"they share {counted(seeds, 'seed')}, and {FEWEST_SEEDS} are needed"
        return _Measured(seeds=seeds, reason=few)
    draws = [Resampled(one) if one not in _whole(first, second) else one.resampled for one in pair]
    if not all(map(identified, draws)):
        few = "an asymptote is not identified on the seeds and problems that they share"
        return _Measured(seeds=seeds, problems=problems, reason=few)
    a, b = (one.fitted for one in draws)
    starts, tops = (
        [float(getattr(one, name)[0]) for one in (a, b)] for name in ("start", "asymptote")
    )
    level = (sum(starts) / 2 + min(tops)) / 2
    known = not any(one.edge for one in (first, second)) and not any(map(at_edge, draws))
    with np.errstate(invalid="ignore"):
        ratio = np.log(a.compute_at(level)) - np.log(b.compute_at(level))
    return _Measured(
        draws[0].contrast(a.asymptote - b.asymptote),
        draws[0].contrast(np.log(a.midpoint) - np.log(b.midpoint)) if known else None,
        level,
        draws[0].contrast(ratio) if known else None,
        seeds,
        problems,
    )


def _whole(*fits: CurveFit) -> list[object]:
    """Curves whose draws serve as they are."""
    return [one.setting.curve for one in fits]


def _obstacles(first: CurveFit, second: CurveFit) -> Iterator[str]:
    for one in (first, second):
        if not one.claimed:
            yield f"no curve is claimed of {one.setting.title} ({one.refusal})"
    if first.setting.split != second.setting.split:
        yield (
            f"they were measured on different splits, {first.setting.split} and "
            f"{second.setting.split}"
        )
