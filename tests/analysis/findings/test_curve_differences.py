"""Settings against each other: asymptote, efficiency, both or undecided, in words and numbers."""

import math

import pytest
from compute_results import Learner, write_curves

from analysis.findings.compute_axes import Over
from analysis.findings.curve_differences import MOST_UNNAMED, curve_family
from analysis.findings.curve_fits import curve_fit
from analysis.findings.curve_sentences import curve_lines
from analysis.findings.curve_settings import curve_set
from analysis.load.study import load_study

BASE = Learner("base")
FAST, HIGH, BOTH = (
    Learner("fast", middle=10.0),
    Learner("high", top=0.8),
    Learner("both", top=0.8, middle=10.0),
)
AGAIN = Learner("again")
FLAT = Learner("flat", shape=lambda step: 0.2)


def compared(folder, learners, *, reference=None, over=Over.STEPS, others=(), **options):
    """The family, and the sentences by their beginning."""
    studies = [load_study(write_curves(folder / "study", learners, **options))]
    studies += [load_study(write_curves(folder / name, more)) for name, more in others]
    found = curve_set(studies, over)
    fits = [curve_fit(setting) for setting in found.settings]
    family = curve_family(fits, share=True, reference=reference)
    return family, curve_lines(found, fits, family)


def line(lines, beginning):
    (one,) = [text for text in lines if text.startswith(beginning)]
    return one


def test_each_difference_is_called_what_it_is(tmp_path):
    family, lines = compared(tmp_path, [BASE, FAST, HIGH, BOTH, AGAIN], reference="BASE")
    verdicts = {one.first: one.verdict for one in family.differences}
    assert verdicts == {
        **{"fast": "efficiency", "high": "asymptote", "both": "both", "again": "undecided"}
    }
    by_name = {one.first: one for one in family.differences}
    low, high = by_name["fast"].efficiency.contrast.interval()
    assert low < math.log(0.5) < high
    low, high = by_name["high"].asymptote.contrast.interval()
    assert low < 0.1 < high
    assert by_name["again"].same_asymptote and by_name["fast"].same_asymptote
    assert not by_name["high"].same_asymptote
    assert "differ in efficiency; the asymptotes are equal within 2 points" in line(
        lines, "fast and"
    )
    assert "differ in asymptote; a difference in efficiency is not shown" in line(lines, "high and")
    assert "differ in asymptote and in efficiency" in line(lines, "both and")
    assert "undecided; the asymptotes are equal within 2 points" in line(lines, "again and")
    assert "paired over 5 seeds." in line(lines, "fast and")
    told = line(lines, "The 8 tests, asymptote and C_mid of 4 pairs, are one family")
    assert "Holm's p is corrected at 5 %" in told


def test_a_common_level_is_reached_with_a_share_of_the_compute(tmp_path):
    family, _ = compared(tmp_path, [BASE, FAST, HIGH])
    ratios = {(one.first, one.second): one.log_ratio for one in family.differences}
    assert family.differences[0].level == pytest.approx(0.45, abs=0.01)
    # Of equal asymptotes and steepness the ratio is that of C_mid; a higher asymptote is sooner at
    # any level: (0.25 / 0.35)^(1 / 1.7) of the compute to 0.45.
    assert math.exp(ratios["fast", "base"].value) == pytest.approx(0.5, rel=0.05)
    assert math.exp(ratios["high", "base"].value) == pytest.approx((5 / 7) ** (1 / 1.7), rel=0.05)


def test_what_is_not_claimed_is_undecided_and_counts(tmp_path):
    family, lines = compared(tmp_path, [BASE, FLAT, FAST])
    assert len(family.differences) == 3 and family.size == 6
    told = line(lines, "flat and base")
    assert told == "flat and base: undecided, because no curve is claimed of flat (no rise)."
    assert "of 3 pairs (4 of them could not be made and count)" in line(lines, "The 6 tests")
    sure = next(one for one in family.differences if one.first == "fast" and one.second == "base")
    assert sure.efficiency.adjusted >= 6 * sure.efficiency.contrast.p_value * 0.999


def test_a_study_s_own_comparisons_are_the_family(tmp_path):
    anchors = [{"label": name} for name in ("base", "fast", "high", "later")]
    family, lines = compared(
        *(tmp_path, [BASE, FAST, HIGH]),
        **{"compare": {"reference": "base", "equivalence": 0.05}, "anchors": anchors},
    )
    assert [(one.first, one.second) for one in family.differences] == [
        *(("fast", "base"), ("high", "base"))
    ]
    assert family.absent == 1 and family.size == 6 and family.margin == 0.05
    assert "(2 of them could not be made and count)" in line(lines, "The 6 tests")


def test_confirmations_are_compared_where_both_have_one(tmp_path):
    again = [
        Learner(one.label, one.top, one.middle, of=trial, seeds=(100, 101, 102, 103))
        for one, trial in ((BASE, "t0000"), (FAST, "t0001"))
    ]
    family, _ = compared(tmp_path, [BASE, FAST, HIGH, *again])
    pairs = {(one.first, one.second): one for one in family.differences}
    assert pairs.keys() == {
        *(("fast (confirmed)", "base (confirmed)"), ("high", "base"), ("high", "fast"))
    }
    assert pairs["fast (confirmed)", "base (confirmed)"].seeds == 4


def test_settings_without_shared_seeds_are_undecided(tmp_path):
    apart = Learner("apart", seeds=(4, 7, 8, 9))
    family, lines = compared(tmp_path, [BASE, apart])
    assert "because they share 1 seed, and 3 are needed" in line(lines, "apart and base")
    assert family.differences[0].verdict == "undecided"


def test_two_studies_are_read_together_with_the_folder_before_the_label(tmp_path):
    family, _ = compared(tmp_path, [BASE], others=[("other", [FAST])])
    (one,) = family.differences
    assert (one.first, one.second, one.verdict) == ("other: fast", "study: base", "efficiency")


def test_many_settings_need_a_reference(tmp_path):
    learners = [Learner(f"s{n}", shape=lambda step: 0.2) for n in range(MOST_UNNAMED)]
    family, lines = compared(tmp_path, [*learners, BASE])
    assert family.size == 0
    assert "13 settings make 78 pairs" in line(lines, "Nothing is compared")
    told = [text for text in lines if "no gain beyond noise" in text]
    assert len(told) == MOST_UNNAMED, "their sizes differ"
    with pytest.raises(ValueError, match="no setting is called 'bose'; known: s0"):
        compared(tmp_path / "again", [*learners, BASE], reference="bose")


def test_settings_that_are_refused_alike_share_a_sentence(tmp_path):
    learners = [Learner(f"s{n}") for n in range(10)]
    _, lines = compared(tmp_path, learners, every=16, steps=32)
    told = [text for text in lines if "no saturating curve" in text]
    assert told == [
        "s0, s1, s2, s3, s4, s5, s6, s7 and 2 more: no saturating curve is claimed, because it has "
        "2 evaluations after step 0, and 6 are needed (evaluation.every)."
    ]
