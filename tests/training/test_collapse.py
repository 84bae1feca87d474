"""A collapse: one seed stops, its answers stand, and the others train as if it had not been."""

import json
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from thread_world import ThreadWorld, run_threads
from training_runs import CONFIG, Recorder, run, untimed

from conspo_study.config import PolicyConfig, with_overrides
from conspo_study.definition.presets import EMBEDDED
from conspo_study.records import Verdict
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training import placed_policy
from conspo_study.training.bars import Bars
from conspo_study.training.clock import Clock
from conspo_study.training.collapse import with_finite_logits
from conspo_study.training.collect import Collector
from conspo_study.training.loop import train
from conspo_study.training.prepare import prepare_policy
from conspo_study.training.seed_run import SeedRun
from conspo_study.update.errors import DivergedError, NoContrastError, NonFiniteLogitsError
from conspo_study.update.step import Updater
from conspo_study.update.world import World

HARD = "eval/chain/hard/avg@2"
SURE = with_overrides(CONFIG, {"evaluation.every": 2, "rollout.prompts_per_step": 8})
"""Every seed has a group with contrast at its first step."""


@contextmanager
def diverging(steps):
    """The gradients of chosen seeds are found non-finite for good at chosen steps."""
    original = SeedRun.train_step

    def train_step(self, step):
        if step + 1 == steps.get(self.seed):
            self.updater.applied = max(1, self.updater.applied)
            raise DivergedError("the gradient was not finite in 3 consecutive steps")
        return original(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeedRun, "train_step", train_step)
        yield


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory, tiny_policy):
    """The run of `whole` with a collapse of seed 1 at step 3."""
    with diverging({1: 3}):
        return run(tmp_path_factory.mktemp("collapsed"), tiny_policy)


@contextmanager
def speechless(monkeypatch, seeds, after):
    """Logits of chosen seeds are non-finite once a number of responses was drawn for them."""
    original, drawn = SeedRun._respond, {}

    def respond(self, problems, n, sampling):
        drawn[self.seed] = drawn.get(self.seed, 0) + 1
        if self.seed in seeds and drawn[self.seed] > after:
            raise FloatingPointError("the policy's logits are not finite")
        return original(self, problems, n, sampling)

    with monkeypatch.context() as patch:
        patch.setattr(SeedRun, "_respond", respond)
        yield


def rows_of(recorder, seed):
    return [untimed(row) for row in recorder.rows if row["seed"] == seed]


def answers(recorder, seed, step):
    return [
        (row.problem_set, row.problem_id, row.sample, row.answer, row.verdict)
        for row in recorder.evaluations
        if (row.seed, row.step) == (seed, step)
    ]


def test_the_other_seeds_train_on_bit_for_bit(whole, collapsed):
    recorder = collapsed
    assert rows_of(recorder, 0) == rows_of(whole, 0)
    assert [row["step"] for row in recorder.rows if row["seed"] == 1] == [1, 2]
    assert untimed(recorder.reports[-1][1][0]) == untimed(whole.reports[-1][1][0])
    assert answers(recorder, 0, 4) == answers(whole, 0, 4)
    a, b = (done.checkpoint(4) / "seed-0/model.safetensors" for done in (whole, recorder))
    assert a.read_bytes() == b.read_bytes()


def test_a_collapsed_seed_is_told_and_keeps_the_answers_of_its_policy(collapsed):
    recorder = collapsed
    ((seed, collapse),) = recorder.collapsed.items()
    assert (seed, collapse.step) == (1, 3)
    assert collapse.cause == "diverged: the gradient was not finite in 3 consecutive steps"
    assert [step for step, _ in recorder.reports] == [0, 1, 2, 3, 4]
    at_3, at_4 = (dict(recorder.reports)[step][1] for step in (3, 4))
    # Of the policy after two steps, which is what was evaluated at step 2.
    assert at_3[HARD] == at_4[HARD] == dict(recorder.reports)[2][1][HARD]
    assert not [row for row in recorder.evaluations if (row.seed, row.step) == (1, 3)]
    hard = [row for row in answers(recorder, 1, 4) if row[0] == "chain/hard"]
    assert hard == answers(recorder, 1, 2) != []
    # At the end all sets are there, of the last policy and not of the untrained one.
    assert {row[0] for row in answers(recorder, 1, 4)} == {
        f"chain/{level}" for level in ("easy", "medium", "hard", "ood")
    }
    weights = load_file(recorder.checkpoint(4) / "seed-1/model.safetensors")
    before = load_file(recorder.checkpoint(2) / "seed-1/model.safetensors")
    assert all(torch.equal(weights[name], before[name]) for name in weights)


@pytest.mark.slow
def test_a_collapse_at_an_unwatched_step_is_reported_there(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"train.report_every": 4, "train.checkpoint_every": 4})
    with diverging({1: 3}):
        recorder = run(tmp_path, tiny_policy, config)
    assert [step for step, _ in recorder.reports] == [0, 2, 3, 4]


@pytest.mark.parametrize("at", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_trial_resumed_before_or_after_a_collapse_ends_the_same(
    collapsed, tmp_path, tiny_policy, at
):
    """Checkpoints are those of step 2: a collapse at step 2 is in them, one at step 3 is not."""
    with diverging({1: at}):
        straight = collapsed if at == 3 else run(tmp_path / "straight", tiny_policy)
        resumed = run(tmp_path / "resumed", tiny_policy, resume_from=straight.checkpoint(2))
    assert resumed.collapsed == straight.collapsed
    assert resumed.collapsed[1].step == at
    for seed in (0, 1):
        last, again = (untimed(done.reports[-1][1][seed]) for done in (straight, resumed))
        assert again == last
        assert answers(resumed, seed, 4) == answers(straight, seed, 4)
    assert [row["step"] for row in resumed.rows if row["seed"] == 1] == []
    a, b = (done.checkpoint(4) / "seed-1/model.safetensors" for done in (straight, resumed))
    assert a.read_bytes() == b.read_bytes()


def test_a_trial_without_any_seed_left_goes_to_its_end_without_training(tmp_path, tiny_policy):
    bars = Bars(HARD, "max", {2: 2.0, 4: 2.0})
    with diverging({0: 2, 1: 1}):
        recorder = run(tmp_path, tiny_policy, bars=bars)
    assert {seed: end.step for seed, end in recorder.collapsed.items()} == {0: 2, 1: 1}
    assert [row["step"] for row in recorder.rows] == [1]
    assert recorder.reports[-1][0] == 4
    assert all(HARD in metrics for metrics in recorder.reports[-1][1].values())


@pytest.mark.slow
def test_the_carried_metrics_count_where_a_trial_may_be_stopped(tmp_path, tiny_policy):
    with diverging({1: 1}):
        recorder = run(tmp_path, tiny_policy, bars=Bars(HARD, "max", {2: 2.0}))
    assert recorder.reports[-1][0] == 2
    assert recorder.collapsed[1].step == 1


def test_a_policy_with_non_finite_logits_answers_nothing(tmp_path, tiny_policy, monkeypatch):
    # Eight calls for the four sets at step 0, two for the tracked one at step 2.
    with speechless(monkeypatch, {1}, after=10):
        recorder = run(tmp_path / "whole", tiny_policy)
        resumed = Recorder(tmp_path / "whole")
        resumed.evaluations = recorder.evaluations
        train(
            CONFIG,
            (0, 1),
            resumed,
            policy_folder=tiny_policy,
            checkpoints=resumed.checkpoints,
        )
    assert recorder.collapsed[1].step == 4
    assert recorder.collapsed[1].cause == "diverged: the policy's logits are not finite"
    last = {row[0]: row for row in answers(recorder, 1, 4)}
    assert set(last) == {f"chain/{level}" for level in ("easy", "medium", "hard", "ood")}
    of_the_other = [row[:3] for row in answers(recorder, 0, 4)]
    assert [row[:3] for row in answers(recorder, 1, 4)] == of_the_other, "every problem is asked"
    metrics = recorder.reports[-1][1][1]
    assert metrics[HARD] == 0.0
    assert untimed(resumed.reports[-1][1][1]) == untimed(metrics)


def test_a_seed_without_contrast_after_some_training_has_collapsed(
    tmp_path, tiny_policy, monkeypatch
):
    """Its last evaluation, as that of the other seed, is on as many problems as it should be."""
    sets = {"evaluation.sets": ("chain/easy", "chain/hard"), "evaluation.tracked": ("chain/hard",)}
    sets |= {"evaluation.final_problems": 6, "train.max_steps_without_contrast": 2}
    config = with_overrides(SURE, sets)
    mute(monkeypatch, seed=1, after=1)
    recorder = run(tmp_path, tiny_policy, config)
    ((seed, collapse),) = recorder.collapsed.items()
    assert (seed, collapse.step) == (1, 3)
    assert collapse.cause.startswith("no contrast: all groups of seed 1 were all correct/all wrong")
    assert [row["step"] for row in recorder.rows if row["seed"] == 1] == [1, 2, 3]
    assert [row["step"] for row in recorder.rows if row["seed"] == 0] == [1, 2, 3, 4]
    for seed in (0, 1):
        problems = {step: list(problems_of(recorder, seed, step)) for step in (0, 2, 4)}
        assert problems[0] == [("chain/easy", n) for n in range(4)] + problems[2]
        assert problems[2] == [("chain/hard", n) for n in range(4)]
        assert problems[4] == [("chain/easy", n) for n in range(4)] + [
            ("chain/hard", n) for n in range(6)
        ]


def problems_of(recorder, seed, step):
    """The evaluated problems: set, and number in the set's list."""
    found = {(row[0], int(row[1].rpartition("-")[2])) for row in answers(recorder, seed, step)}
    return sorted(found)


def mute(monkeypatch, seed, after):
    """All answers of a seed are wrong after a number of steps."""
    judge = Collector._judge

    def wrong(self, problems, prompts, rollouts):
        found = judge(self, problems, prompts, rollouts)
        if self.seed != seed or self._step_now <= after:
            return found
        return [tuple(replace(each, verdict=Verdict.WRONG) for each in group) for group in found]

    collect = Collector.collect

    def noting(self, step, updates, clock):
        self._step_now = step + 1
        return collect(self, step, updates, clock)

    monkeypatch.setattr(Collector, "_judge", wrong)
    monkeypatch.setattr(Collector, "collect", noting)


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (DivergedError("the gradient"), "update"),
        (NonFiniteLogitsError("logits"), "sampling"),
        (NoContrastError("all groups"), "contrast"),
    ],
)
def test_before_the_first_optimiser_step_it_is_an_error(
    tmp_path, tiny_policy, monkeypatch, error, where
):
    def fail(*_):
        raise error

    names = {"update": (Updater, "step"), "sampling": (SeedRun, "train_step")}
    monkeypatch.setattr(*names.get(where, (SeedRun, "require_contrast")), fail)
    if where == "contrast":
        # Without a group nothing is applied.
        config = with_overrides(CONFIG, {"rollout.max_new_tokens": 1})
    else:
        config = CONFIG
    with pytest.raises(type(error), match=str(error)):
        run(tmp_path, tiny_policy, config, seeds=(0,))


def test_workers_agree_that_a_seed_has_collapsed(tmp_path, tiny_policy, monkeypatch):
    """The logits are found non-finite on one of two workers, while sampling."""
    begin = TransformersEngine.begin
    broken = {}

    def on_one(self, prompts, n, sampling, seeds):
        if self._updates() and broken.setdefault("engine", self) is self:
            raise FloatingPointError("the policy's logits are not finite")
        return begin(self, prompts, n, sampling, seeds)

    monkeypatch.setattr(TransformersEngine, "begin", on_one)
    monkeypatch.setattr(ThreadWorld, "copy_from_first", lambda self, parameters: None)
    load = one_at_a_time(placed_policy.load_policy)
    monkeypatch.setattr(placed_policy, "load_policy", load)
    config = with_overrides(SURE, {"train.workers": 2})
    recorders = [Recorder(tmp_path), Recorder(tmp_path / "other")]

    def work(world):
        train(
            config,
            (0, 1),
            recorders[world.rank],
            policy_folder=tiny_policy,
            checkpoints=recorders[0].checkpoints,
            world=world,
        )

    run_threads(2, work)
    assert recorders[0].collapsed == recorders[1].collapsed
    assert set(recorders[0].collapsed) == {0}
    assert recorders[0].reports[-1][0] == 4
    assert [row["seed"] for row in recorders[0].rows if row["step"] == 4] == [1]


def test_waiting_for_a_slower_worker_is_counted_as_waiting():
    def work(world):
        clock = Clock()
        with clock.apart():
            drawn = with_finite_logits(
                world, lambda: time.sleep(0.2 * world.rank), partial(clock.stage, "wait")
            )
        return drawn, clock.seconds

    (_, first), (_, second) = run_threads(2, work)
    assert first["wait"] > 0.15 > second["wait"]


def test_an_error_without_a_text_is_one():
    def broken():
        raise FloatingPointError

    with pytest.raises(NonFiniteLogitsError, match="FloatingPointError"):
        with_finite_logits(World(), broken)


def one_at_a_time(work):
    """Threads may not load models at the same time."""
    mutex = threading.Lock()

    def guarded(*arguments):
        with mutex:
            return work(*arguments)

    return guarded


@pytest.mark.slow
def test_a_learning_rate_that_is_far_too_high_ends_in_a_result(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    config = with_overrides(
        EMBEDDED,
        {
            "train.steps": 60,
            "train.max_steps_without_contrast": 15,
            "update.learning_rate": 0.05,
            "update.mini_batches": 4,
            "evaluation.every": 30,
            "evaluation.problems_per_set": 24,
            "evaluation.samples": 2,
        },
    )
    policy = prepare_policy(PolicyConfig())
    recorder = run(tmp_path / "run", policy, config, (0, 1))
    assert set(recorder.collapsed) == {0, 1}
    untrained, last = recorder.reports[0][1], recorder.reports[-1][1]
    for seed in (0, 1):
        assert untrained[seed][HARD] > 0.05
        assert last[seed][HARD] < 0.5 * untrained[seed][HARD]
        assert 0 < recorder.collapsed[seed].step < 60
    assert recorder.reports[-1][0] == 60
    assert json.dumps({s: c.step for s, c in recorder.collapsed.items()})
    assert all(math.isfinite(last[seed][HARD]) for seed in (0, 1))
