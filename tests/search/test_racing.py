"""Bars: what they are computed from, that they are right, and how often they are wrong."""

import random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t
from scipy.stats import ttest_rel
from study_fixtures import METRIC, MemoryLog, definition

from conspo_study.config import with_overrides
from conspo_study.definition import EarlyStopping
from conspo_study.definition.presets import QUICK
from conspo_study.records import EventKind, TrialEvent, misses_bar
from conspo_study.search.racing import Curves, bar, bars, paired_bar

BASE = with_overrides(QUICK, {"train.steps": 20, "evaluation.every": 4})


@st.composite
def layouts(draw):
    trials, seeds = draw(st.integers(2, 7)), draw(st.integers(2, 5))
    stream = random.Random(draw(st.integers(0, 2**32)))
    return [[stream.gauss(0.5, 0.1) for _ in range(seeds)] for _ in range(trials)]


def slow_bar(layout, alpha, direction):
    """The same from a least-squares fit of all effects and the t distribution of scipy."""
    values = np.array(layout)
    trials, seeds = values.shape
    cells = [(i, j) for i in range(trials) for j in range(seeds)]
    effects = [
        [*(i == k for k in range(trials)), *(j == k for k in range(seeds))] for i, j in cells
    ]
    design = np.array(effects, float)
    fitted = design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0]
    freedom = values.size - np.linalg.matrix_rank(design)
    variance = ((values.ravel() - fitted) ** 2).sum() / freedom
    margin = student_t.ppf(1 - alpha / trials, freedom) * np.sqrt(2 * variance / seeds)
    means = values.mean(axis=1)
    return means.max() - margin if direction == "max" else means.min() + margin


@settings(deadline=None)
@given(layouts(), st.floats(0.001, 0.4), st.sampled_from(["max", "min"]))
def test_a_bar_is_that_of_an_independent_computation(layout, alpha, direction):
    assert bar(layout, alpha, direction) == pytest.approx(slow_bar(layout, alpha, direction))


@settings(deadline=None)
@given(layouts(), st.floats(-5, 5), st.lists(st.floats(-1, 1), min_size=5, max_size=5))
def test_luck_that_a_seed_brings_to_all_moves_the_level_and_nothing_else(layout, level, lucks):
    lucky = [[v + level + luck for v, luck in zip(row, lucks, strict=False)] for row in layout]
    shift = level + fmean(lucks[: len(layout[0])])
    assert bar(lucky, 0.05, "max") == pytest.approx(bar(layout, 0.05, "max") + shift)


@settings(deadline=None)
@given(layouts())
def test_the_other_direction_is_the_mirror_image(layout):
    mirrored = [[-value for value in row] for row in layout]
    assert bar(mirrored, 0.05, "min") == pytest.approx(-bar(layout, 0.05, "max"))


@settings(deadline=None)
@given(layouts(), st.randoms(use_true_random=False))
def test_the_order_of_trials_and_seeds_does_not_matter(layout, stream):
    order = stream.sample(range(len(layout[0])), len(layout[0]))
    shuffled = [[row[i] for i in order] for row in stream.sample(layout, len(layout))]
    assert bar(shuffled, 0.05, "max") == pytest.approx(bar(layout, 0.05, "max"))


@settings(deadline=None)
@given(layouts(), st.floats(0.01, 0.2))
def test_a_bolder_alpha_sets_a_higher_bar_below_the_best(layout, alpha):
    best = max(map(fmean, layout))
    assert bar(layout, alpha, "max") < bar(layout, alpha * 2, "max") < best


@pytest.mark.parametrize(
    "layout",
    [
        [],
        [[0.5, 0.6]],  # one trial
        [[0.5], [0.6], [0.7]],  # one seed
        [[0.0, 0.0], [0.0, 0.0]],  # nobody solves anything
        [[0.1, 0.3], [0.2, 0.4], [0.4, 0.6]],  # by chance no residual
        [[1e6 + 0.1, 1e6 + 0.3], [1e6 + 0.2, 1e6 + 0.4]],
    ],
)
def test_without_evidence_of_noise_there_is_no_bar(layout):
    assert bar(layout, 0.05, "max") is None


def simulated(stream, trials, seeds, candidate):
    """Values of equally good trials, and the mean of another one, `candidate` better."""
    lucks = [stream.gauss(0, 1) for _ in range(seeds)]
    layout = [[luck + stream.gauss(0, 0.3) for luck in lucks] for _ in range(trials)]
    return layout, fmean(candidate + luck + stream.gauss(0, 0.3) for luck in lucks)


@pytest.mark.parametrize(("trials", "seeds"), [(2, 2), (5, 2), (5, 4), (12, 3)])
def test_a_trial_as_good_as_the_best_is_stopped_with_probability_alpha_at_most(trials, seeds):
    stream, alpha, tries = random.Random(trials * seeds), 0.1, 4000
    stopped = 0
    for _ in range(tries):
        layout, mean = simulated(stream, trials, seeds, candidate=0.0)
        stopped += mean < bar(layout, alpha, "max")
    # Bonferroni is careful, but not absurdly so; four standard errors of a share of 0.1 are 0.02.
    assert 0.03 < stopped / tries < alpha + 0.02


def test_a_clearly_bad_trial_is_stopped_nearly_always():
    stream = random.Random(0)
    pairs = (simulated(stream, 8, 3, candidate=-2.5) for _ in range(400))
    assert fmean(mean < bar(layout, 0.05, "max") for layout, mean in pairs) > 0.98


def look(stream, noises, noise, seeds, worse=0.0):
    """Whether a newcomer is stopped by the threshold alone, and by the bar with the paired test."""
    lucks = [stream.gauss(0, 0.05) for _ in range(seeds)]
    layout = [[luck + stream.gauss(0, sd) for luck in lucks] for sd in noises]
    values = {s: luck - worse + stream.gauss(0, noise) for s, luck in enumerate(lucks)}
    threshold = bar(layout, 0.05, "max")
    whole = paired_bar(threshold, layout, range(seeds), 0.05, "max")
    return misses_bar(threshold, values, 1), misses_bar(whole, values, 1)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("trials", "noisy", "noise"), [(3, 1, 0.03), (11, 1, 0.03), (11, 0, 0.2), (23, 5, 0.03)]
)
def test_a_noisy_trial_among_quiet_ones_is_stopped_with_probability_alpha_at_most(
    trials, noisy, noise, seeds
):
    stream, tries = random.Random(trials * seeds), 600
    noises = [0.03] * noisy + [0.005] * (trials - noisy)
    looks = [look(stream, noises, noise, seeds) for _ in range(tries)]
    alone, paired = (fmean(stopped) for stopped in zip(*looks, strict=True))
    assert alone > 0.07  # the threshold by itself holds for equal noise only
    assert paired < 0.05 + 3 * (0.05 * 0.95 / tries) ** 0.5


@pytest.mark.parametrize(("seeds", "power"), [(2, 0.4), (3, 0.83), (5, 0.98)])
def test_a_trial_that_is_six_points_worse_is_still_stopped(seeds, power):
    stream = random.Random(seeds)
    looks = [look(stream, [0.0125] * 11, 0.0125, seeds, worse=0.06) for _ in range(300)]
    assert fmean(stopped for _, stopped in looks) > power


@settings(deadline=None)
@given(layouts(), st.sampled_from(["max", "min"]))
def test_the_paired_test_is_scipys(layout, direction):
    *rivals, own = layout
    if len(rivals) < 2:
        return
    seeds, sign = range(len(own)), 1 if direction == "max" else -1
    whole = paired_bar(sign * 99.0, rivals, seeds, 0.1, direction)
    best = sign * max(sign * fmean(row) for row in rivals)
    rival = next(row for row in rivals if fmean(row) == best)
    side = "greater" if direction == "max" else "less"
    p = ttest_rel(rival, own, alternative=side).pvalue
    assert misses_bar(whole, dict(zip(seeds, own, strict=True)), sign) is bool(
        p < 1.4 * 0.1 / len(own)
    )
    never = paired_bar(-sign * 99.0, rivals, seeds, 0.1, direction)
    assert not misses_bar(never, dict(zip(seeds, own, strict=True)), sign)


def test_a_study_of_the_earlier_rule_keeps_it(log):
    for trial, values in (("t0000", (0.5, 0.6)), ("t0001", (0.1, 0.3))):
        report(log, trial, 12, values)
    study = definition(base=BASE)
    curves = Curves(study)
    curves.update(log.events)
    plain = bars(curves, study, ("t0000", "t0001"), paired=False)
    assert plain == {12: bar([[0.5, 0.6], [0.1, 0.3]], 0.05, "max")}


def report(log, trial, step, values, metric=METRIC):
    seeds = {str(seed): {metric: value} for seed, value in enumerate(values)}
    data = {"step": step, "steps": 20, "seeds": seeds}
    log.append(TrialEvent(EventKind.REPORTED, trial, data))


@pytest.fixture
def log():
    log = MemoryLog()
    for trial in ("t0000", "t0001"):
        log.append(TrialEvent(EventKind.SUGGESTED, trial, {"params": {}, "seeds": [0, 1]}))
    return log


def bars_of(log, trials=("t0000", "t0001"), **changes):
    study = definition(base=BASE, **changes)
    curves = Curves(study)
    curves.update(log.events)
    return bars(curves, study, trials)


def test_bars_stand_between_the_least_fraction_and_the_last_step(log):
    for step in range(0, 21, 2):
        report(log, "t0000", step, (0.5, 0.6))
        report(log, "t0001", step, (0.1, 0.3))
    assert bars_of(log).keys() == {12, 16}
    assert bars_of(log, early_stopping=EarlyStopping(min_fraction=0.4)).keys() == {8, 12, 16}
    assert bars_of(log, early_stopping=EarlyStopping(min_fraction=1)).keys() == set()
    assert bars_of(log, early_stopping=None) == {}
    assert bars_of(log, seeds=(0,)) == {}


def test_a_bar_rests_on_what_was_measured_at_its_step(log):
    for trial, values in (("t0000", (0.5, 0.6)), ("t0001", (0.1, 0.3))):
        report(log, trial, 12, values)
        report(log, trial, 14, (9.0, 9.1))  # repeats an evaluation, at a step without one
    rule, layout = EarlyStopping(), [[0.5, 0.6], [0.1, 0.3]]
    threshold = bar(layout, rule.alpha, "max")
    assert bars_of(log) == {12: paired_bar(threshold, layout, (0, 1), rule.alpha, "max")}


def test_a_trial_that_stopped_earlier_or_lacks_a_seed_does_not_count(log):
    report(log, "t0000", 12, (0.5, 0.6))
    report(log, "t0001", 12, (0.1, 0.3))
    report(log, "t0000", 16, (0.5, 0.6))
    assert bars_of(log).keys() == {12}
    report(log, "t0001", 16, (0.1, None))
    assert bars_of(log).keys() == {12}
    report(log, "t0001", 16, (0.1, 0.3), metric="another")
    assert bars_of(log).keys() == {12}
    assert bars_of(log, trials=("t0000",)) == {}


def test_what_a_resumed_trial_measures_again_replaces_what_it_measured(log):
    report(log, "t0000", 12, (0.5, 0.6))
    report(log, "t0001", 12, (0.7, 0.1))
    report(log, "t0001", 12, (0.1, 0.3))
    assert bars_of(log)[12].threshold == bar([[0.5, 0.6], [0.1, 0.3]], 0.05, "max")


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=2), max_size=5))
def test_curves_that_grow_with_the_log_are_those_of_the_whole_log(layout):
    log, study = MemoryLog(), definition(base=BASE)
    growing = Curves(study)
    for index, values in enumerate(layout):
        trial = f"t{index:04d}"
        log.append(TrialEvent(EventKind.SUGGESTED, trial, {"params": {}, "seeds": [0, 1]}))
        growing.update(log.events)
        report(log, trial, 12, values)
        growing.update(log.events)
    whole = Curves(study)
    whole.update(log.events)
    trials = [row.id for row in log.table.rows]
    assert growing.at(12, trials) == whole.at(12, trials) == layout
