"""Detectable differences: the plan's arithmetic on a difference's own noise."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from analysis.findings.detectable import detectable_lines
from analysis.load.study import load_study
from conspo_study.statistics.power import detectable_effect

Make = Callable[..., Path]


def test_of_the_best_of_several_nothing_is_claimed(make_study: Make, trial: Any) -> None:
    trials = [trial(0.3, 0.0, schedule="off"), trial(0.3, 20.0), trial(0.3, 1.0)]
    (line,) = detectable_lines(load_study(make_study(trials, seeds=[0, 1, 2])))
    assert line.startswith("No claim about t0001 (tau 0.3, M/tau 20, cosine, alpha 0.3) and t0000")
    assert "the best trial was selected by these values" in line and "detected" not in line


def test_a_confirmed_difference_has_its_verdict_and_a_cautious_promise(
    make_study: Make, trial: Any, confirm: Any
) -> None:
    study = make_study([trial(10.0, 0.001, label="paper"), trial(1.0, 20.0)])
    confirm(study, "t0000", {10: 0.60, 11: 0.64, 12: 0.65})
    confirm(study, "t0001", {10: 0.61, 11: 0.66, 12: 0.64})
    (line,) = detectable_lines(load_study(study))
    assert line.startswith("Undecided between the winner and t0000 (paper): with 3 fresh seeds, ")
    sd = np.std([0.01, 0.02, -0.01], ddof=1)
    size = detectable_effect(sd, 3)
    upper = math.sqrt(2 / chi2.ppf(0.1, 2)) * size
    assert f"a true difference of {upper:.3f} ({100 * upper:.1f} points) would have" in line
    assert f"({size:.3f} ({100 * size:.1f} points) by the spread as estimated" in line


def test_a_declared_family_is_summed_up(make_study: Make, trial: Any, define: Any) -> None:
    trials = [trial(1.0, 0.0, schedule="off", label=label) for label in ("a", "b", "c", "d")]
    trials[1].tau, trials[3].end = 0.1, "failed"
    study = make_study(trials, seeds=[0, 1, 2], problems=40)
    define(study, compare={"reference": "a", "correction": "holm"})
    lines = detectable_lines(load_study(study))
    assert lines[0] == "3 comparisons with a (Holm): 1 worse, 1 undecided, 1 not measured."
    assert lines[1] == "Shown: b worse."
    assert lines[2].startswith("Of those undecided, a true difference of 0.")


@pytest.mark.parametrize(
    ("ends", "seeds", "says"),
    [
        (["failed", "failed"], [0, 1], ""),
        (["finished", "pruned"], [0, 1, 2], ""),
        (["finished", "finished"], [0], "one seed cannot show a difference of any size"),
    ],
)
def test_without_the_numbers_there_is_no_sentence_or_a_plain_one(
    make_study: Make, trial: Any, ends: list[str], seeds: list[int], says: str
) -> None:
    trials = [trial(0.3, 0.0, schedule="off", end=ends[1]), trial(0.3, 20.0, end=ends[0])]
    lines = detectable_lines(load_study(make_study(trials, seeds=seeds)))
    assert says in " ".join(lines) and bool(lines) == bool(says)


def test_values_that_do_not_vary_leave_the_size_open(
    make_study: Make, trial: Any, confirm: Any
) -> None:
    study = make_study([trial(10.0, 0.001, label="paper"), trial(1.0, 20.0)])
    flat = dict.fromkeys((10, 11, 12), 0.5)
    confirm(study, "t0000", flat)
    confirm(study, "t0001", flat)
    (line,) = detectable_lines(load_study(study))
    assert line.startswith("Undecided") and "cannot be told: the values do not vary" in line
