"""The confirmation leads the summary, with its gaps, and selection bias is estimated."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import ttest_ind, ttest_rel

from analysis.findings.confirmation import confirmation_of
from analysis.findings.confirmation_summary import confirmation_lines
from analysis.findings.confirmation_table import confirmation_table
from analysis.findings.final_scores import final_scores
from analysis.findings.summary import summary_lines
from analysis.load.study import load_study
from analysis.report.writing import failure_notes, write_report
from analysis.statistics.bootstrap import difference, estimate
from analysis.statistics.intervals import difference_interval
from conspo_study.records import EvalRow
from conspo_study.results.rows import eval_path, write_eval_rows

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

Make = Callable[..., Path]
CONFIRM = {"seeds": [10, 11, 12], "anchors": None, "overrides": {"evaluation.split": "test"}}
FRESH = (10, 11, 12)
ANCHOR, OTHER, WINNER = "t0000", "t0001", "t0002"


@pytest.fixture
def searched(make_study: Make, trial: Any, define: Any) -> Path:
    """Two anchors and two searched trials, of which the first wins."""
    study = make_study(
        [
            trial(10.0, 0.001, label="paper"),
            trial(0.3, 0.0, schedule="off", label="no margin"),
            trial(1.0, 20.0),
            trial(0.1, 0.0),
        ],
        seeds=[0, 1, 2],
    )
    define(study, confirm=CONFIRM)
    return study


def values(*numbers: float) -> dict[int, float]:
    return dict(zip(FRESH, numbers, strict=False))


@pytest.fixture
def confirmed(searched: Path, confirm: Any) -> Path:
    confirm(searched, ANCHOR, values(0.60, 0.64, 0.65))
    confirm(searched, OTHER, values(0.70, 0.72, 0.76))
    confirm(searched, WINNER, values(0.71, 0.74, 0.75))
    return searched


def cells(study: Path) -> dict[str, dict[str, str]]:
    """Cells by the search trial's id, then title."""
    table = confirmation_table(confirmation_of(load_study(study)))
    rows = [dict(zip(table.titles, row, strict=True)) for row in table.rows]
    return {row["search trial"]: row for row in rows}


def test_the_confirmed_winner_leads_the_summary(confirmed: Path) -> None:
    lines = summary_lines(load_study(confirmed))
    assert lines[0].startswith(
        "Confirmed on fresh seeds and test problems: t0002 (tau 1, M/tau 20, cosine, alpha 0.3): "
        "chain/hard avg@8 0.733 ± 0.021 (standard deviation, n = 3 seeds), 95 % CI [0.6"
    )
    assert lines[1].startswith("Winner minus t0000 (paper): +0.103, 95 % CI [+0.0")
    assert lines[1].endswith("paired over 3 seeds: the winner is better.")
    assert lines[2].startswith("Winner minus t0001 (no margin): +0.007, 95 % CI [-0.0")
    assert lines[2].endswith("Holm's p 0.529, paired over 3 seeds: undecided.")
    assert any(line.startswith("Best search trial: t0002") for line in lines)
    assert not any("run both again on fresh seeds" in line for line in lines)


def test_intervals_are_those_of_the_paired_t_test(confirmed: Path) -> None:
    confirmation = confirmation_of(load_study(confirmed))
    winner, anchor = confirmation.winner, confirmation.anchors[0]
    found = confirmation.advantage(anchor).interval
    test = ttest_rel(list(winner.values.values()), list(anchor.values.values()))
    expected = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    numbers = list(winner.values.values())
    half = student_t.ppf(0.975, 2) * np.std(numbers, ddof=1) / np.sqrt(3)
    assert winner.interval.low == pytest.approx(np.mean(numbers) - half)


def test_a_mean_over_stored_responses_has_an_interval_over_seeds_and_problems(
    searched: Path, confirm: Any
) -> None:
    rng = np.random.default_rng(0)
    for of in (ANCHOR, OTHER, WINNER):
        answers = {
            seed: [
                EvalRow(seed, 20, "chain/hard", f"p{k}", s, verdict, "7", 9, "stopped")
                for k in range(30)
                for s in range(4)
                for verdict in ["correct" if rng.random() < 0.4 + 0.02 * k else "wrong"]
            ]
            for seed in FRESH
        }
        right = {s: sum(row.verdict == "correct" for row in rows) for s, rows in answers.items()}
        run = confirm(searched, of, {seed: count / 120 for seed, count in right.items()})
        for seed, rows in answers.items():
            write_eval_rows(eval_path(searched / "trials" / run, seed, 20), rows)
    study = load_study(searched)
    found = confirmation_of(study)
    scores = final_scores(study, found.winner.run)
    expected = estimate(scores)
    ends = found.winner.interval.low, found.winner.interval.high
    assert ends == pytest.approx((expected.low, expected.high))
    assert "over seeds and problems" in confirmation_lines(found)[0]
    for anchor in found.anchors:
        test = found.compared[anchor.search.id]
        both = difference(scores, final_scores(study, anchor.run))
        assert test.tested.contrast == both.contrast and test.difference.problems == 30


def test_an_interval_over_seeds_alone_says_so(searched: Path, confirm: Any) -> None:
    """Responses to a single problem have none over problems."""
    run = confirm(searched, WINNER, values(0.25, 0.5, 0.75))
    for seed, right in zip(FRESH, (1, 2, 3), strict=True):
        rows = [
            EvalRow(seed, 20, "chain/hard", "p", s, verdict, "7", 9, "stopped")
            for s, verdict in enumerate(["correct"] * right + ["wrong"] * (4 - right))
        ]
        write_eval_rows(eval_path(searched / "trials" / run, seed, 20), rows)
    for of in (ANCHOR, OTHER):
        confirm(searched, of, values(0.5, 0.5, 0.6))
    found = confirmation_of(load_study(searched))
    assert found.winner.scores is not None and not found.winner.over_problems
    half = student_t.ppf(0.975, 2) * 0.25 / np.sqrt(3)
    assert found.winner.interval.high == pytest.approx(0.5 + half)
    said = confirmation_lines(found)[0]
    assert "over seeds" in said and "and problems." not in said


def test_seeds_that_do_not_vary_show_nothing(searched: Path, confirm: Any) -> None:
    confirm(searched, ANCHOR, values(0.5, 0.5, 0.5))
    confirm(searched, WINNER, values(0.75, 0.75, 0.75))
    lines = confirmation_lines(confirmation_of(load_study(searched)))
    assert "no interval from seeds that do not vary" in lines[0]
    assert lines[1].endswith(
        "+0.250, paired over 3 seeds: no interval and no claim (the values do not vary between "
        "seeds)."
    )


def test_the_bias_is_the_winners_drop_beyond_that_of_the_anchors(confirmed: Path) -> None:
    study = load_study(confirmed)
    rows = {row.id: row for row in study.table.rows}
    drop = {
        trial: np.mean(list(rows[trial].values.values())) - mean
        for trial, mean in ((ANCHOR, 0.63), (OTHER, 2.18 / 3), (WINNER, 2.20 / 3))
    }
    bias = confirmation_of(study).bias
    assert bias.winner_drop == pytest.approx(drop[WINNER])
    assert bias.anchors_drop == pytest.approx((drop[ANCHOR] + drop[OTHER]) / 2)
    assert bias.estimate == pytest.approx(bias.winner_drop - bias.anchors_drop)
    assert bias.interval.mean == pytest.approx(bias.estimate), "an interval of the same number"
    assert bias.interval.low < bias.estimate < bias.interval.high
    lines = confirmation_lines(confirmation_of(study))
    assert "The 2 baselines, which were not selected, changed by" in lines[-1]
    assert f"{-bias.anchors_drop:+.3f} on average" in lines[-1]
    assert f"in favour of the winner: {bias.estimate:+.3f} (95 % CI [" in lines[-1]


def test_harder_test_problems_alone_are_no_selection_bias(searched: Path, confirm: Any) -> None:
    """All trials lose the same: the winner's drop is large, and none of it is selection's."""
    rows = {row.id: row for row in load_study(searched).table.rows}
    for trial in (ANCHOR, OTHER, WINNER):
        shifted = [value - 0.2 for value in rows[trial].values.values()]
        confirm(searched, trial, values(*shifted))
    bias = confirmation_of(load_study(searched)).bias
    assert bias.winner_drop == pytest.approx(0.2)
    assert bias.estimate == pytest.approx(0.0, abs=1e-12)
    lines = confirmation_lines(confirmation_of(load_study(searched)))
    assert lines[-2].endswith("(-0.200).")
    assert lines[-1].endswith("not distinguishable from 0.")


def test_a_metric_that_is_minimised_turns_the_words_around(
    searched: Path, confirm: Any, define: Any
) -> None:
    define(searched, direction="min")
    assert "t0003" in confirmation_lines(confirmation_of(load_study(searched)))[0], "lowest wins"
    confirm(searched, ANCHOR, values(0.60, 0.64, 0.65))
    confirm(searched, "t0003", values(0.31, 0.32, 0.33))
    lines = confirmation_lines(confirmation_of(load_study(searched)))
    assert "Winner minus t0000 (paper): -0.3" in lines[1] and "the winner is better" in lines[1]
    assert lines[-2].startswith("Winner: search value 0.") and "confirmed 0.320 (+0." in lines[-2]
    bias = confirmation_of(load_study(searched)).bias
    assert f"in favour of the winner: {-bias.estimate:+.3f}" in lines[-1]


def test_the_table_has_intervals_differences_and_drops(confirmed: Path) -> None:
    found = cells(confirmed)
    assert list(found) == [WINNER, ANCHOR, OTHER], "the winner comes first"
    assert found[WINNER]["label"] == "winner" and found[WINNER]["difference to winner"] == "–"
    assert found[WINNER]["chain/hard avg@8"] == "0.733 ± 0.021" and found[WINNER]["n"] == "3"
    assert found[ANCHOR]["difference to winner"] == "+0.103"
    assert found[OTHER]["95 % CI of difference"].startswith("[-0.0")
    assert found[ANCHOR]["search minus confirmed"].startswith(("+", "-"))


def test_search_trials_and_confirmations_have_tables_of_their_own(confirmed: Path) -> None:
    report = write_report(confirmed)
    names = {path.name for path in report.paths}
    assert {"trials.md", "trials.csv", "confirmation.md", "confirmation.csv"} <= names
    trials = (confirmed / "tables" / "trials.csv").read_text()
    assert "c0000" not in trials and "t0003" in trials
    rows = list(
        csv.DictReader(io.StringIO((confirmed / "tables" / "confirmation.csv").read_text()))
    )
    assert [row["of"] for row in rows] == [WINNER, ANCHOR, OTHER]
    assert float(rows[0]["value"]) == pytest.approx(2.20 / 3)
    assert rows[0]["difference"] == "" and float(rows[1]["difference_n"]) == 3
    markdown = (confirmed / "tables" / "confirmation.md").read_text()
    assert markdown.startswith("- Confirmed on fresh seeds") and "| c0002 |" in markdown
    assert report.text_table("confirmation") is not None


def test_values_before_training_and_curves_are_those_of_the_search(confirmed: Path) -> None:
    study = load_study(confirmed)
    assert set(study.reports["trial"]) == {row.id for row in study.table.rows}
    assert study.seeds == (0, 1, 2)


def test_a_study_without_a_confirmation_has_no_such_table(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 1.0)])
    assert confirmation_of(load_study(study)) is None
    report = write_report(study)
    assert (
        report.text_table("confirmation") is None
        and not (study / "tables" / "confirmation.md").exists()
    )


def test_what_has_not_run_is_a_gap(searched: Path, confirm: Any) -> None:
    confirm(searched, ANCHOR, values(0.60, 0.64, 0.65))
    confirm(searched, WINNER, {}, end="running")
    found = cells(searched)
    assert found[WINNER]["state (step)"] == "running (10)"
    assert found[WINNER]["chain/hard avg@8"] == found[WINNER]["n"] == "–", "0.9 is no result yet"
    assert found[OTHER]["state (step)"] == "not yet run" and found[OTHER]["trial"] == "–"
    assert found[ANCHOR]["chain/hard avg@8"] == "0.630 ± 0.026"
    assert found[ANCHOR]["difference to winner"] == "–"
    lines = summary_lines(load_study(searched))
    assert lines[0].startswith(
        "Nothing is confirmed yet: the confirmation run of the winner, t0002"
    )
    assert lines[0].endswith("is running.")
    assert confirmation_of(load_study(searched)).bias is None


def test_a_missing_seed_is_shown_and_compared_on_shared_seeds_only(
    searched: Path, confirm: Any
) -> None:
    confirm(searched, ANCHOR, values(0.60, 0.64, 0.65))
    confirm(searched, OTHER, values(0.10, 0.70))
    confirm(searched, WINNER, values(0.71, 0.74, 0.75))
    found = cells(searched)
    assert found[OTHER]["n"] == "2 of 3"
    assert found[OTHER]["difference to winner"] == "+0.325", "over seeds 10 and 11"
    assert found[OTHER]["search minus confirmed"] == "–"
    confirmation = confirmation_of(load_study(searched))
    assert confirmation.bias.anchors == 1, "the incomplete anchor is left out"
    assert "paired over 2 seeds: too few for a claim" in confirmation_lines(confirmation)[2]


def test_one_fresh_seed_has_no_interval_and_supports_no_claim(searched: Path, confirm: Any) -> None:
    for trial, value in ((ANCHOR, 0.6), (OTHER, 0.7), (WINNER, 0.75)):
        confirm(searched, trial, {10: value}, seeds=(10,))
    found = cells(searched)
    for trial in (ANCHOR, OTHER, WINNER):
        assert found[trial]["95 % CI"] == found[trial]["95 % CI of difference"] == "–"
        assert "±" not in found[trial]["chain/hard avg@8"]
    lines = confirmation_lines(confirmation_of(load_study(searched)))
    assert "(n = 1 seed); no interval from a single seed." in lines[0]
    assert lines[1].endswith("paired over 1 seed: no interval and no claim.")
    assert "no interval: a single seed" in lines[-1]


def test_a_failed_confirmation_shows_its_cause_and_no_value(searched: Path, confirm: Any) -> None:
    confirm(searched, ANCHOR, {}, end="failed")
    confirm(searched, WINNER, values(0.71, 0.74, 0.75))
    found = cells(searched)[ANCHOR]
    assert found["cause"] == "out of memory" and found["chain/hard avg@8"] == "–"
    lines = confirmation_lines(confirmation_of(load_study(searched)))
    assert lines[1].endswith("(paper): no difference, because its confirmation run has failed.")
    assert "c0000 failed at step 10: out of memory" in failure_notes(load_study(searched))


def test_no_winner_is_named_while_the_search_runs(make_study: Make, trial: Any, define: Any,
                                                  confirm: Any) -> None:  # fmt: skip
    study = make_study([trial(10.0, 0.001, label="paper"), trial(1.0, 5.0, end="running")])
    define(study, confirm=CONFIRM)
    confirm(study, ANCHOR, values(0.6, 0.6, 0.7))
    confirmation = confirmation_of(load_study(study))
    assert confirmation.winner is None and cells(study)[ANCHOR]["label"] == "paper"
    assert confirmation_lines(confirmation)[0].startswith("Nothing is confirmed yet")


def test_a_search_without_any_finished_trial_confirms_nothing(
    make_study: Make, trial: Any, define: Any
) -> None:
    study = make_study([trial(1.0, 5.0, end="failed")])
    define(study, confirm=CONFIRM)
    report = write_report(study)
    assert report.summary[0].startswith("Nothing is confirmed yet")
    assert report.text_table("confirmation").rows == ()


def test_an_anchor_that_wins_is_compared_with_the_others(
    make_study: Make, trial: Any, define: Any, confirm: Any
) -> None:
    study = make_study([trial(1.0, 20.0, label="strong"), trial(10.0, 0.001, label="paper")])
    define(study, confirm=CONFIRM)
    confirm(study, "t0000", values(0.71, 0.74, 0.75))
    confirm(study, "t0001", values(0.61, 0.65, 0.65))
    confirmation = confirmation_of(load_study(study))
    assert [row["label"] for row in cells(study).values()] == ["strong (winner)", "paper"]
    assert confirmation.bias.anchors == 1


def test_only_the_anchors_that_were_asked_for_are_expected(searched: Path, define: Any) -> None:
    define(searched, confirm={**CONFIRM, "anchors": ["paper"]})
    assert set(cells(searched)) == {ANCHOR, WINNER}


def test_a_winner_of_a_smaller_budget_stays_in_the_table(
    confirmed: Path, trial: Any, confirm: Any
) -> None:
    """A study that was extended may have another winner; what was confirmed is still shown."""
    confirm(confirmed, "t0003", values(0.3, 0.3, 0.3))
    assert cells(confirmed)["t0003"]["label"] == "earlier winner"
    assert len(confirmation_of(load_study(confirmed)).anchors) == 2


def test_without_an_anchor_selection_is_not_told_from_anything(
    make_study: Make, trial: Any, define: Any, confirm: Any
) -> None:
    study = make_study([trial(1.0, 5.0), trial(0.1, 0.0)])
    define(study, confirm=CONFIRM)
    confirm(study, "t0000", values(0.71, 0.74, 0.75))
    lines = confirmation_lines(confirmation_of(load_study(study)))
    assert lines[-1].startswith("Without a confirmed baseline")


def test_confirming_on_the_selecting_problems_is_said(searched: Path, confirm: Any) -> None:
    confirm(searched, WINNER, values(0.71, 0.74, 0.75), split="dev")
    line = confirmation_lines(confirmation_of(load_study(searched)))[0]
    assert line.startswith("Confirmed on fresh seeds and the same problems as in the search: t0002")


def test_the_difference_of_independent_means_is_welchs() -> None:
    a, b = [0.70, 0.74, 0.71, 0.69], [0.60, 0.75]
    expected = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = difference_interval(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert difference_interval(a, [0.7]) is None
    assert difference_interval([0.5, 0.5], [0.25, 0.25]).high == 0.25
    with pytest.raises(ValueError, match="finite"):
        difference_interval(a, [0.1, float("nan")])
