"""Scores of trials are those of their stored responses."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.measured import benchmark_name, labelled, measured
from analysis.findings.paper_tables import measured_table
from analysis.load.study import StudyUnreadable, load_study
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import eval_path, read_eval_rows, write_eval_rows

SETS = ("chain/easy", "chain/hard")
LAST = 4


def responses(
    seed: int, step: int, sets: Mapping[str, float], *, problems: int = 6, samples: int = 4
) -> list[EvalRow]:
    """Every set's share of right answers, with some that depend on seed and problem."""
    return [
        EvalRow(
            seed=seed,
            step=step,
            problem_set=name,
            problem_id=f"p{problem}",
            sample=sample,
            verdict="correct" if _right(seed, problem, sample) < share else "wrong",
            answer="7" if _right(seed, problem, sample) < share else "8",
            response_tokens=9,
            status="stopped",
        )
        for name, share in sets.items()
        for problem in range(problems)
        for sample in range(-1, samples)
    ]


def _right(seed: int, problem: int, sample: int) -> float:
    return ((7 * problem + 3 * sample + 5 * seed) % 13) / 13


def evaluated(
    study: Path, shares: Mapping[str, Mapping[str, float]], seeds: tuple[int, ...] = (0, 1)
) -> Path:
    """Replace the evaluations of trials, by id, with those of the given shares per set."""
    for trial, sets in shares.items():
        folder = study / "trials" / trial
        for path in folder.glob("eval-*.parquet"):
            path.unlink()
        for seed in seeds:
            start = responses(seed, 0, dict.fromkeys(sets, 0.2))
            write_eval_rows(eval_path(folder, seed, 0), start)
            write_eval_rows(eval_path(folder, seed, LAST), responses(seed, LAST, sets))
    return study


@pytest.fixture
def methods(make_study: Callable[..., Path], trial: Any) -> Path:
    """Three methods, of which one failed."""
    study = make_study(
        [
            trial(1.0, 0.0, label="GRPO"),
            trial(1.0, 5.0, label="ConSPO"),
            trial(1.0, 1.0, label="GMPO", end="failed"),
            trial(1.0, 1.0),
        ],
        steps=LAST,
        every=2,
    )
    shares = {"t0000": 0.4, "t0001": 0.7, "t0002": 0.5}
    return evaluated(study, {trial: dict.fromkeys(SETS, share) for trial, share in shares.items()})


def test_values_are_those_of_the_evaluation(methods: Path) -> None:
    ours = measured(labelled(load_study(methods)))
    assert (ours.metric, ours.split, ours.benchmarks) == ("avg@4", "dev", SETS)
    assert list(ours.methods) == ["base", "GRPO", "ConSPO", "GMPO"]
    for seed in (0, 1):
        rows = read_eval_rows(methods / "trials" / "t0001")
        own = [row for row in rows if (row.seed, row.step) == (seed, LAST)]
        expected = evaluation_metrics(own, 4)
        for name in SETS:
            found = ours.by_seed("ConSPO", name)
            assert found is not None
            assert found[seed] == pytest.approx(expected[f"eval/{name}/avg@4"])


def test_the_best_evaluation_of_every_seed_is_found(methods: Path) -> None:
    """Seed 0 was better in the middle, seed 1 at the end; a look at one set does not count."""
    trial, sets = "t0000", ("chain/easy", "chain/hard")
    folder = methods / "trials" / trial
    middle = {0: dict.fromkeys(sets, 1.0), 1: dict.fromkeys(sets, 0.1)}
    for seed, shares in middle.items():
        write_eval_rows(eval_path(folder, seed, 2), responses(seed, 2, shares))
        write_eval_rows(eval_path(folder, seed, 3), responses(seed, 3, {"chain/hard": 1.0}))
    study = load_study(methods)
    plain, found = (measured(labelled(study), best=best) for best in (False, True))
    (name, one), *_ = ((n, m) for n, m in found.methods.items() if m.origin.endswith(trial))
    last = one.scores.by_seed("chain/hard")
    assert one.best["chain/hard"] == pytest.approx((1.0 + last[1]) / 2)
    assert found.methods["ConSPO"].best == {}, "it has no evaluation but the last"
    assert found.methods["ConSPO"].notes == ("only the last evaluation measured all benchmarks",)
    assert one.notes == ()
    assert plain.methods[name].best == {} and plain.methods[name].scores.cells == pytest.approx(
        one.scores.cells
    )


def test_a_best_of_means_over_different_problems_says_so(methods: Path) -> None:
    for seed in (0, 1):
        rows = responses(seed, 2, dict.fromkeys(SETS, 0.5), problems=3)
        write_eval_rows(eval_path(methods / "trials" / "t0000", seed, 2), rows)
    found = measured(labelled(load_study(methods)), best=True).methods["GRPO"]
    assert found.best and found.notes[-1].startswith("its evaluations have different numbers of")


@pytest.mark.parametrize("metric", ["pass@2", "maj@3", "greedy"])
def test_other_metrics_come_from_the_same_rows(methods: Path, metric: str) -> None:
    ours = measured(labelled(load_study(methods)), metric)
    rows = read_eval_rows(methods / "trials" / "t0000")
    own = [row for row in rows if (row.seed, row.step) == (1, LAST)]
    k = int(metric.partition("@")[2] or 1)
    found = ours.by_seed("GRPO", "chain/hard")
    assert ours.metric == metric and found is not None
    assert found[1] == pytest.approx(evaluation_metrics(own, k)[f"eval/chain/hard/{metric}"])


def test_an_unknown_metric_is_refused(methods: Path) -> None:
    with pytest.raises(ValueError, match="unknown metric 'best@4'; known: avg, pass@K"):
        measured(labelled(load_study(methods)), "best@4")


def test_a_failed_method_is_there_without_a_value(methods: Path) -> None:
    failed = measured(labelled(load_study(methods))).methods["GMPO"]
    assert failed.scores is None and failed.notes[0].startswith("failed at step 1: diverged")


def test_a_seed_without_an_evaluation_is_left_out_and_named(methods: Path) -> None:
    eval_path(methods / "trials" / "t0001", 1, LAST).unlink()
    found = measured(labelled(load_study(methods))).methods["ConSPO"]
    assert found.scores is not None and found.scores.seeds == (0,)
    assert found.notes == ("no whole evaluation of seed 1",)


def test_a_method_without_any_evaluation_has_no_value(methods: Path) -> None:
    for path in (methods / "trials" / "t0001").glob("eval-*.parquet"):
        path.unlink()
    ours = measured(labelled(load_study(methods)))
    assert ours.methods["ConSPO"].scores is None
    assert ours.methods["ConSPO"].notes == ("no whole evaluation of seed 0, 1",)
    assert ours.methods["GRPO"].scores is not None


def test_undecided_responses_count_as_wrong_and_the_other_bound_is_told(methods: Path) -> None:
    rows = responses(0, LAST, dict.fromkeys(SETS, 1.1))  # 6 problems of 4 samples each
    rows[1] = replace(rows[1], verdict="timeout")
    write_eval_rows(eval_path(methods / "trials" / "t0000", 0, LAST), rows)
    other = responses(1, LAST, dict.fromkeys(SETS, 1.1))
    unread = [replace(row, verdict="gold_bad") for row in other[:5]]
    write_eval_rows(eval_path(methods / "trials" / "t0000", 1, LAST), [*unread, *other[5:]])
    ours = measured(labelled(load_study(methods)))
    found = ours.methods["GRPO"]
    assert (found.undecided, found.unreadable) == (1, 4)
    assert ours.by_seed("GRPO", "chain/easy") == {0: pytest.approx(23 / 24), 1: 1.0}
    assert found.decided == {"chain/easy": 1.0}
    assert ours.methods["ConSPO"].decided == {}
    notes = measured_table(ours).notes
    assert [note for note in notes if note.startswith("GRPO:")] == [
        "GRPO: 1 response without a verdict, counted as wrong; left out, it has 100.0 on "
        "chain/easy.",
        "GRPO: 4 responses left out, since the gold answers of their problems cannot be read.",
    ]


def test_an_answer_in_two_spellings_is_one_vote(methods: Path) -> None:
    rows = responses(0, LAST, dict.fromkeys(SETS, 0.5), problems=1)
    answers = [("correct", "5", 0), ("correct", "5", 0), ("wrong", "7", 1), ("wrong", "7.0", 1)]
    rows[-4:] = [
        replace(row, verdict=verdict, answer=answer, vote=vote)
        for row, (verdict, answer, vote) in zip(rows[-4:], answers, strict=True)
    ]
    write_eval_rows(eval_path(methods / "trials" / "t0000", 0, LAST), rows)
    found = measured(labelled(load_study(methods)), "maj@4").by_seed("GRPO", "chain/hard")
    assert found is not None and found[0] == 0.5


def test_policies_that_differ_before_training_have_no_common_base_row(methods: Path) -> None:
    path = eval_path(methods / "trials" / "t0001", 0, 0)
    write_eval_rows(path, responses(0, 0, dict.fromkeys(SETS, 0.9)))
    ours = measured(labelled(load_study(methods)))
    assert "base" not in ours.methods
    assert ours.notes == ("There is no base row: the trials' policies differ before training",)


def test_methods_on_different_problems_are_pointed_out(methods: Path) -> None:
    path = eval_path(methods / "trials" / "t0001", 0, LAST)
    write_eval_rows(path, responses(0, LAST, dict.fromkeys(SETS, 0.5), problems=7))
    notes = measured(labelled(load_study(methods))).notes
    assert notes == tuple(
        f"{name}: the methods were measured on different problems" for name in SETS
    )


def test_trials_of_one_name_are_refused(methods: Path) -> None:
    trials = labelled(load_study(methods))
    with pytest.raises(
        ValueError, match="two rows would be called 'GRPO': give margin-sweep t0000"
    ):
        measured([*trials, trials[0]])
    again = measured([*trials, replace(trials[0], method="GRPO again")])
    assert again.by_seed("GRPO again", "chain/hard") == again.by_seed("GRPO", "chain/hard")


def test_different_numbers_of_samples_do_not_share_a_table(methods: Path) -> None:
    for seed in (0, 1):
        path = eval_path(methods / "trials" / "t0001", seed, LAST)
        write_eval_rows(path, responses(seed, LAST, dict.fromkeys(SETS, 0.5), samples=5))
    with pytest.raises(ValueError, match="measured as avg@4 and avg@5; make a table of each"):
        measured(labelled(load_study(methods)))


def test_different_splits_do_not_share_a_table(methods: Path) -> None:
    config = methods / "trials" / "t0001" / "config.json"
    text = config.read_text()
    assert '"split"' in text
    config.write_text(
        text.replace('"split": "dev"', '"split": "test"').replace('"split":"dev"', '"split":"test"')
    )
    with pytest.raises(ValueError, match="measured as dev and test"):
        measured(labelled(load_study(methods)))


def test_a_damaged_evaluation_is_named(methods: Path) -> None:
    path = eval_path(methods / "trials" / "t0001", 0, LAST)
    path.write_bytes(b"no parquet")
    with pytest.raises(StudyUnreadable, match=path.name):
        measured(labelled(load_study(methods)))


def test_confirmations_stand_under_the_name_of_what_they_confirm(methods: Path) -> None:
    shares = {"GRPO": 0.3, "": 0.6}
    with ResultsLog(methods / "log.jsonl") as log:
        for index, (label, share) in enumerate(shares.items()):
            trial = f"c000{index}"
            row = {"params": {}, "seeds": [8, 9], "label": label, "role": "confirmation"}
            log.append(TrialEvent(EventKind.SUGGESTED, trial, {**row, "of": f"t000{3 * index}"}))
            log.append(TrialEvent(EventKind.STARTED, trial))
            end = {"step": LAST, "values": {"8": share, "9": share}}
            log.append(TrialEvent(EventKind.FINISHED, trial, end))
            (methods / "trials" / trial).mkdir()
            evaluated(methods, {trial: {"chain/hard": share}}, seeds=(8, 9))
    study = load_study(methods)
    ours = measured(labelled(study, study.table.confirmations))
    assert list(ours.methods) == ["base", "GRPO", "winner (t0003)"]
    assert ours.methods["winner (t0003)"].scores is not None
    assert ours.methods["winner (t0003)"].scores.seeds == (8, 9)


def test_no_trials_measure_nothing() -> None:
    ours = measured([])
    assert ours.methods == {} and ours.benchmarks == ()


def test_files_of_published_benchmarks_are_recognised() -> None:
    assert benchmark_name("/data/aime24.jsonl") == "AIME24"
    assert benchmark_name("chain/hard") == "chain/hard"


def test_ablations_bear_their_published_names(make_study: Callable[..., Path], trial: Any) -> None:
    study = load_study(make_study([trial(1.0, 0.0, label="no margin")], seeds=[0]))
    assert [one.method for one in labelled(study)] == ["ConSPO (no margin)"]


def test_sets_with_different_numbers_of_samples_are_labelled_one_by_one(methods: Path) -> None:
    for trial in ("t0000", "t0001"):
        for seed in (0, 1):
            for step in (0, LAST):
                rows = responses(seed, step, {"aime24.jsonl": 0.5}) + responses(
                    seed, step, {"math500": 0.5}, samples=1
                )
                write_eval_rows(eval_path(methods / "trials" / trial, seed, step), rows)
    for path in (methods / "trials" / "t0002").glob("eval-*.parquet"):
        path.unlink()
    ours = measured(labelled(load_study(methods)))
    assert ours.metric == "avg@1, avg@4"
    assert (ours.metric_of("AIME24"), ours.metric_of("MATH500")) == ("avg@4", "avg@1")
    details = {column.benchmark: column.detail for column in measured_table(ours).columns}
    assert details["AIME24"] == "avg@4, n = 2" and details["MATH500"] == "avg@1, n = 2"


def test_one_set_with_different_numbers_of_samples_is_refused(methods: Path) -> None:
    for seed in (0, 1):
        rows = responses(seed, LAST, dict.fromkeys(SETS, 0.5), samples=2)
        write_eval_rows(eval_path(methods / "trials" / "t0001", seed, LAST), rows)
    with pytest.raises(ValueError, match="measured as avg@2 and avg@4"):
        measured(labelled(load_study(methods)))
