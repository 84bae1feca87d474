"""Costs of training at an evaluation, and costs that cannot be told."""

import json

import pytest
from compute_results import Learner, write_curves

from analysis.findings.compute_axes import NoCompute, Over, gpus_of, spent
from analysis.findings.curve_settings import curve_set
from analysis.load.study import load_study
from conspo_study.results.rows import append_step_row

GPU = {"train": {"steps": 16, "workers": 2, "gpus_per_worker": 1}}


@pytest.fixture
def make(tmp_path):
    def one(**changes):
        options = {"seeds": (0, 4), "steps": 16, "every": 4}
        learner = Learner("a", **changes)
        return load_study(write_curves(tmp_path / "study", [learner], **options))

    return one


def at(study, over, seed, step):
    return spent(study, study.table.rows[0], over, (4, 8, 12, 16)).at(seed, step)


def test_tokens_and_seconds_are_summed_step_by_step_and_seed_by_seed(make):
    study = make(logged={"time/evaluate_s": 1000.0})
    assert at(study, Over.TOKENS, 0, 8) == pytest.approx(8 * 100.0)
    assert at(study, Over.TOKENS, 4, 8) == pytest.approx(8 * 104.0)
    assert at(study, Over.SECONDS, 0, 12) == pytest.approx(12 * 3.0), "without evaluations"
    assert at(study, Over.STEPS, 4, 12) == 12.0
    assert at(study, Over.TOKENS, 0, 0) is None


def test_a_study_that_logs_flop_has_them(make):
    assert at(make(logged={"flops": 7.0}), Over.FLOPS, 0, 16) == pytest.approx(112.0)


def test_a_step_without_a_group_costs_no_flop(make):
    study = make(logged={"flops": 7.0})
    path = study.trial_folder("t0000") / "steps.jsonl"
    append_step_row(path, {"seed": 0, "step": 5, "tokens": 100.0})
    assert at(study, Over.FLOPS, 0, 16) == pytest.approx(15 * 7.0)


def test_gpu_hours_are_those_of_workers_and_their_engines(make):
    study = make(config=GPU)
    assert at(study, Over.GPU_HOURS, 0, 16) == pytest.approx(16 * 3.0 * 2 / 3600)
    engines = {"engine": "vllm", "vllm_engines": 2, "vllm_gpus": 1}
    assert gpus_of({**GPU, "rollout": engines}) == 6.0
    assert gpus_of({**GPU, "rollout": {**engines, "engine": "transformers"}}) == 2.0
    assert gpus_of({"train": {"workers": "many"}}) == 0.0


def test_steps_that_a_resumed_trial_trained_again_cost_once(make):
    study = make()
    path = study.trial_folder("t0000") / "steps.jsonl"
    for step in (7, 8):
        append_step_row(path, {"seed": 0, "step": step, "tokens": 50.0, "time/generate_s": 2.0})
    assert at(study, Over.TOKENS, 0, 8) == pytest.approx(6 * 100.0 + 2 * 50.0)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (Over.FLOPS, "t0000 has no training FLOP in steps.jsonl"),
        (Over.GPU_HOURS, "t0000 used no GPU: use --over seconds"),
    ],
)
def test_what_was_not_logged_is_told_in_a_sentence(make, over, message):
    study = make()
    with pytest.raises(NoCompute, match=message):
        at(study, over, 0, 8)
    with pytest.raises(ValueError, match=message):
        curve_set([study], over)


def test_a_gap_in_the_rows_is_no_free_step(make):
    study = make()
    path = study.trial_folder("t0000") / "steps.jsonl"
    rows = [line for line in path.read_text().splitlines() if json.loads(line)["step"] != 5]
    path.write_text("".join(row + "\n" for row in rows))
    with pytest.raises(NoCompute, match="seed 0: 1 step of 16 without generated tokens"):
        at(study, Over.TOKENS, 0, 8)
    assert at(study, Over.STEPS, 0, 8) == 8.0
    path.unlink()
    with pytest.raises(NoCompute, match=r"no rows in steps\.jsonl: use --over steps"):
        at(study, Over.SECONDS, 0, 8)


def test_a_collapsed_seed_spends_nothing_more(tmp_path):
    study = load_study(
        write_curves(
            *(tmp_path / "study", [Learner("a")]),
            **{"seeds": (0, 1), "steps": 16, "every": 4, "collapsed": [("a", 1, 6)]},
        )
    )
    assert at(study, Over.TOKENS, 1, 16) == pytest.approx(6 * 101.0)
    assert at(study, Over.TOKENS, 0, 16) == pytest.approx(16 * 100.0)


def test_a_training_function_has_steps_alone(make):
    study = make()
    path = study.folder / "study.json"
    stored = json.loads(path.read_text())
    stored["definition"]["base"] = {"function": "mine:train"}
    path.write_text(json.dumps(stored))
    study = load_study(study.folder)
    with pytest.raises(NoCompute, match=r"training function.*use --over steps"):
        at(study, Over.TOKENS, 0, 8)
    assert at(study, Over.STEPS, 0, 8) == 8.0
