"""Differences of runs are those of scipy, corrected as Holm wrote, and decided as they are told."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_files import five_by_five, table
from scipy import stats

from analysis.findings.run_comparison import Pairing, compare_runs
from analysis.findings.run_comparison_text import run_frame, run_lines, run_table
from analysis.findings.runs_at_step import RunsAtStep, runs_at_step
from analysis.load.runs import Reading, RunsUnreadable, read_runs
from analysis.statistics.bootstrap import difference


def runs(values):
    return RunsAtStep("accuracy", None, values, {}, ())


@pytest.fixture
def read(tmp_path):
    def of(text, step=None, **reading):
        path = tmp_path / "runs.csv"
        path.write_text(text)
        return runs_at_step(read_runs([path], Reading(**reading)), step)

    return of


def holm_by_hand(p_values):
    """The step-down procedure as in the paper: multiply, then never let a later one be smaller."""
    order = np.argsort(p_values)
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def test_tiny_values_are_not_taken_for_shares():
    """A KL of 0.001 and one nine times as large are not equivalent within two points."""
    low = {seed: 0.0010 + 0.0001 * seed for seed in range(5)}
    high = {seed: 0.0085 + 0.0004 * (seed % 3) for seed in range(5)}
    comparison = compare_runs(runs({"a": low, "b": high}), lower_is_better=True)
    assert comparison.margin is None and not comparison.share
    assert not any("quivalent" in line for line in run_lines(comparison))
    assert comparison.verdict(comparison.differences[0]) == "worse"
    shares = {
        name: {s: 50 * v for s, v in of.items()} for name, of in {"a": low, "b": high}.items()
    }
    assert compare_runs(runs(shares)).margin == 0.02
    assert compare_runs(runs({"a": low, "b": high}), margin=0.001).margin == 0.001


def test_five_settings_and_five_seeds_are_compared_as_scipy_does(read):
    values = five_by_five()
    frame = run_frame(compare_runs(read(table(values))))
    reference = [values["grpo"][s] for s in range(5)]
    others = [name for name in values if name != "grpo"]
    tests = [stats.ttest_rel([values[n][s] for s in range(5)], reference) for n in others]
    assert list(frame["setting"]) == others and set(frame["minus"]) == {"grpo"}
    for row, test, name in zip(frame.to_dict("records"), tests, others, strict=True):
        assert row["p"] == pytest.approx(test.pvalue, rel=1e-9)
        ends = test.confidence_interval(0.95)
        assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high), rel=1e-9)
        ends = test.confidence_interval(1 - 0.05 / 4)
        assert (row["low_family"], row["high_family"]) == pytest.approx((ends.low, ends.high))
        assert row["difference"] == pytest.approx(
            np.mean(list(values[name].values())) - np.mean(reference)
        )
        assert row["sd"] == pytest.approx(np.std(list(values[name].values()), ddof=1))
        sd = np.std([values[name][s] - reference[s] for s in range(5)], ddof=1)
        shift = row["detectable"] / sd * math.sqrt(5)
        limit = stats.t.ppf(1 - 0.05 / 4 / 2, 4)
        power = stats.nct.sf(limit, 4, shift) + stats.nct.cdf(-limit, 4, shift)
        assert power == pytest.approx(0.8, abs=1e-6)
        factor = math.sqrt(4 / stats.chi2.ppf(0.1, 4))
        assert row["detectable_high"] == pytest.approx(factor * row["detectable"])
    assert list(frame["p_holm"]) == pytest.approx(holm_by_hand([test.pvalue for test in tests]))


def test_one_comparison_is_a_family_of_one(read):
    values = {name: five_by_five()[name] for name in ("grpo", "tau 1")}
    (row,) = run_frame(compare_runs(read(table(values)))).to_dict("records")
    assert row["p"] == row["p_holm"] and row["low"] == row["low_family"]


def test_seeds_that_are_not_shared_are_named_and_left_out(read):
    values = five_by_five()
    del values["tau 1"][4]
    values["tau 1"][7] = 0.9
    found = compare_runs(read(table(values)))
    item = next(item for item in found.differences if item.setting == "tau 1")
    test = stats.ttest_rel(*([values[n][s] for s in range(4)] for n in ("tau 1", "grpo")))
    assert item.contrast.p_value == pytest.approx(test.pvalue) and item.seeds == (4, 4)
    assert "tau 1: seed 7 only of tau 1, left out of the difference." in found.notes
    assert "tau 1: seed 4 only of the reference, left out of the difference." in found.notes


@pytest.mark.parametrize("shared", [0, 1])
def test_without_shared_seeds_the_test_is_welch_s_and_is_told(read, shared):
    values = {n: five_by_five()[n] for n in ("grpo", "tau 1")}
    values["tau 1"] = {seed + 5 - shared: value for seed, value in values["tau 1"].items()}
    found = compare_runs(read(table(values)))
    (item,) = found.differences
    test = stats.ttest_ind(*(list(values[n].values()) for n in ("tau 1", "grpo")), equal_var=False)
    assert item.pairing is Pairing.NONE and item.contrast.freedom == pytest.approx(test.df)
    assert item.contrast.p_value == pytest.approx(test.pvalue)
    ends = test.confidence_interval(0.95)
    assert item.contrast.interval() == pytest.approx((ends.low, ends.high))
    assert any("compared unpaired, by Welch's test" in note for note in found.notes)


def test_pairing_can_be_refused():
    values = five_by_five()
    found = compare_runs(runs(values), unpaired=True)
    test = stats.ttest_ind(*(list(values[n].values()) for n in ("tau 1", "grpo")), equal_var=False)
    (item,) = (item for item in found.differences if item.setting == "tau 1")
    assert item.contrast.p_value == pytest.approx(test.pvalue)
    assert "Seeds are not paired, as asked: Welch's test." in found.notes


def test_one_seed_and_equal_differences_have_no_interval():
    one = compare_runs(runs({"a": {0: 0.5}, "b": {0: 0.75}}))
    assert (one.differences[0].contrast, one.differences[0].reason) == (None, "a single seed")
    assert one.differences[0].value == 0.25 and one.differences[0].adjusted is None
    assert "no interval and no claim (a single seed)" in run_lines(one)[-1]
    equal = compare_runs(runs({"a": {0: 0.1, 1: 0.2, 2: 0.7}, "b": {0: 0.4, 1: 0.5, 2: 1.0}}))
    assert equal.differences[0].reason == "the values do not vary between seeds"
    assert run_frame(equal)["p"].isna().all()


def test_two_seeds_support_no_claim():
    values = {"a": {0: 0.1, 1: 0.2}, "b": {0: 0.5, 1: 0.60001}}
    found = compare_runs(runs(values))
    assert found.differences[0].adjusted < 0.05
    assert run_table(found).rows[1][-1] == "too few seeds for a claim"


def test_a_comparison_that_cannot_be_tested_counts_in_the_family():
    values = five_by_five()
    values["linear"] = {0: 0.5}
    found = compare_runs(runs(values))
    p = {item.setting: item.contrast.p_value for item in found.differences if item.contrast}
    least = min(p, key=p.get)
    (item,) = (item for item in found.differences if item.setting == least)
    assert item.adjusted == pytest.approx(4 * p[least]) and found.alpha == 0.05 / 4


def test_lower_is_better_changes_the_finding_and_no_number():
    up, down = (compare_runs(runs(five_by_five()), lower_is_better=low) for low in (False, True))
    assert up.differences == down.differences
    findings = [[row[-1] for row in run_table(found).rows] for found in (up, down)]
    swapped = {"better": "worse", "worse": "better"}
    assert findings[1] == [swapped.get(word, word) for word in findings[0]]
    assert {"better", "worse", "undecided"} <= set(findings[0])


PROBLEMS = "setting,seed,problem,acc\n"


def by_problem(seed=0, samples=1):
    rng = np.random.default_rng(seed)
    hard = rng.random(40)
    lines = [
        f"{name},{s},p{p},{int(rng.random() < hard[p] * lift)}"
        for name, lift in (("base", 0.6), ("new", 0.9))
        for s in range(4)
        for p in range(40)
        for _ in range(samples)
    ]
    return PROBLEMS + "\n".join(lines) + "\n"


def test_problems_are_paired_by_the_two_level_bootstrap_of_the_reports(read):
    found = read(by_problem())
    (item,) = compare_runs(found).differences
    expected = difference(found.scores["new"], found.scores["base"])
    assert item.pairing is Pairing.PROBLEMS and item.problems == 40
    assert (item.value, item.contrast.p_value) == (expected.value, expected.p_value)
    assert item.contrast.interval() == (expected.low, expected.high)
    alone = compare_runs(RunsAtStep("acc", None, found.values, {}, ())).differences[0]
    assert alone.value == pytest.approx(item.value)
    assert alone.contrast.error != pytest.approx(item.contrast.error, rel=0.01)


def test_rows_of_one_problem_are_samples(read):
    found = read(by_problem(samples=3))
    assert found.notes == ("3 rows of a run and problem are samples: averaged.",)
    assert set(np.unique(found.scores["new"].benchmarks["acc"].values * 3).round(9)) <= {0, 1, 2, 3}


def test_a_problem_that_is_not_judged_is_left_out_for_both(read):
    text = by_problem().replace("new,0,p3,1", "new,0,p3,nan").replace("new,0,p3,0", "new,0,p3,nan")
    found = read(text)
    assert found.notes == ("1 row with nan are taken as not judged: left out.",)
    (item,) = compare_runs(found).differences
    assert item.contrast is not None and math.isfinite(item.value)


STEPS = "setting,seed,step,acc\n"


def test_runs_are_compared_at_the_last_step_that_all_have(read):
    text = STEPS + "a,0,10,0.1\na,0,20,0.2\na,0,30,0.9\nb,0,10,0.5\nb,0,20,0.6\n"
    found = read(text)
    assert (found.step, found.values) == (20, {"a": {0: 0.2}, "b": {0: 0.6}})
    (note,) = found.notes
    assert note == (
        "Compared at step 20, the last that all 2 runs have; a seed 0 went on to step 30, b seed 0 "
        "did not."
    )
    assert read(text, 10).values == {"a": {0: 0.1}, "b": {0: 0.5}}
    with pytest.raises(RunsUnreadable, match="no value at step 30 of b seed 0; near it is 20"):
        read(text, 30)


def test_runs_without_a_common_step_are_refused(read):
    with pytest.raises(RunsUnreadable, match=r"no step is in all 2 runs \(a seed 0 ends at 10"):
        read(STEPS + "a,0,10,0.1\nb,0,20,0.5\n")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
def test_a_run_that_diverged_is_not_dropped(read, value):
    with pytest.raises(RunsUnreadable, match=r"line 3: acc of b seed 0 is .*A run that diverged"):
        read(f"setting,seed,acc\na,0,0.5\nb,0,{value}\n")
    with pytest.raises(RunsUnreadable, match=r"at step 20.*earlier step with --step"):
        read(STEPS + f"a,0,10,1\na,0,20,1\nb,0,10,1\nb,0,20,{value}\n")


def test_rows_that_repeat_count_once_and_rows_that_contradict_are_refused(read):
    text = "setting,seed,acc\na,0,0.5\na,0,0.5\nb,0,0.25\n"
    assert read(text).notes == ("a seed 0 stands in 2 equal rows: counted once.",)
    with pytest.raises(RunsUnreadable, match=r"line 3: .*0\.75 here and 0\.5 in line 2: which one"):
        read(text.replace("a,0,0.5\nb", "a,0,0.75\nb"))


def test_an_empty_field_is_a_missing_value_and_is_told(read):
    found = read("setting,seed,acc\na,0,0.5\na,1,\nb,0,0.25\n")
    assert found.values == {"a": {0: 0.5}, "b": {0: 0.25}}
    assert found.notes == ("runs.csv: 1 rows without a value are left out.",)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"reference": "tau1"}, r"--reference tau1: no such setting \(did you mean tau 1\?\)"),
        ({"selected": "x"}, "--selected x: no such setting"),
    ],
)
def test_a_setting_that_is_not_there_is_named_with_those_that_are(more, message):
    with pytest.raises(ValueError, match=message):
        compare_runs(runs(five_by_five()), **more)


def test_one_setting_has_nothing_to_be_compared_with():
    with pytest.raises(ValueError, match="one setting, a, has nothing to be compared with"):
        compare_runs(runs({"a": {0: 1.0, 1: 2.0}}))


def test_the_bias_of_a_selection_is_told_with_the_lead():
    *_, line = run_lines(compare_runs(runs(five_by_five()), selected="tau 1"))
    assert line.startswith("Estimated selection bias in favour of tau 1, the best of 5 settings: ")
    assert "of its lead of +0.0556" in line
    lines = run_lines(compare_runs(runs(five_by_five()), selected="linear"))
    assert "linear was selected, but tau 1 has the best mean here" in lines[-2]


LAYOUT = st.lists(
    st.lists(st.integers(-1000, 1000), min_size=4, max_size=4),
    min_size=2,
    max_size=5,
    unique_by=tuple,
)
"""Integers, so that shifting and scaling are exact."""


@given(LAYOUT, st.integers(-50, 50), st.sampled_from([0.25, 1.0, 64.0]))
@settings(max_examples=25, deadline=None)
def test_shifting_and_scaling_all_values_changes_no_finding(layout, shift, scale):
    values = {f"s{i}": dict(enumerate(map(float, row))) for i, row in enumerate(layout)}
    moved = {
        name: {seed: scale * (value + shift) for seed, value in by_seed.items()}
        for name, by_seed in values.items()
    }
    first, second = compare_runs(runs(values)), compare_runs(runs(moved))
    for a, b in zip(first.differences, second.differences, strict=True):
        assert b.value == pytest.approx(scale * a.value)
        assert (a.contrast is None) == (b.contrast is None)
        if a.contrast:
            assert a.adjusted == pytest.approx(b.adjusted)
            assert b.contrast.detectable() == pytest.approx(scale * a.contrast.detectable())
            assert a.adjusted >= a.contrast.p_value


@given(st.permutations([(n, s, v) for n, row in five_by_five().items() for s, v in row.items()]))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_changes_no_number(rows):
    values = {}
    for name, seed, value in rows:
        values.setdefault(name, {})[seed] = value
    found = compare_runs(runs(values), reference="grpo")
    numbers = {item.setting: (item.value, item.adjusted) for item in found.differences}
    expected = compare_runs(runs(five_by_five()), reference="grpo")
    assert numbers == {item.setting: (item.value, item.adjusted) for item in expected.differences}


def test_exchanging_the_two_sides_changes_the_sign():
    values = {name: five_by_five()[name] for name in ("grpo", "tau 1")}
    (one,) = compare_runs(runs(values)).differences
    (other,) = compare_runs(runs(values), reference="tau 1").differences
    assert one.value == -other.value and one.adjusted == other.adjusted
