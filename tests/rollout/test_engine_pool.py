"""Engines that die, fail or hang are replaced once, with the current weights and the same seeds."""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from fake_engines import FakeActor, ThreadEngine, counted
from safetensors.torch import save_file

from conspo_study.cluster.failures import lasting_cause
from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.engine_pool import Answer, EngineFailed, EnginePool
from conspo_study.rollout.vllm_engine import VllmEngine
from conspo_study.rollout.weight_memory import SharedMemoryChannel

SAMPLING = Sampling(temperature=1.0, max_new_tokens=8)
PROMPTS = [[3], [4], [5], [6], [7]]
SEEDS = [11, 12, 13, 14, 15]


class Tokenizer:
    eos_token_id = 2

    def batch_decode(self, rows, skip_special_tokens):
        return [" ".join(map(str, row)) for row in rows]


class Policy:
    """Weights that are one number, and count their updates."""

    def __init__(self, name, value=1.0):
        self.value, self.updates = value, 0
        self.weights = PolicyWeights(
            name, lambda: self.updates, lambda: [("w", torch.tensor(self.value))]
        )

    def update(self):
        self.updates += 1
        self.value += 1


class Setting:
    """A pool of fake engines in threads, and what has been started so far."""

    def __init__(self, folder, faults=(), engines=1, deadline_s=30.0, sleeps=True):
        self.folder, self.started = folder, []
        settings = {
            "max_length": 64,
            "sleeps": sleeps,
            "folder": str(folder),
            "faults": list(faults),
        }
        self.pool = EnginePool(
            self._start, settings, SharedMemoryChannel(torch.float32), engines, deadline_s
        )

    def _start(self, number):
        self.started.append(ThreadEngine(self.folder / f"{number}.log"))
        return self.started[-1]

    def engine(self, policy):
        return VllmEngine(self.pool, policy.weights, Tokenizer())


def drawn(engine, prompts=PROMPTS, seeds=SEEDS, n=2):
    """Seed, weight and version of each response."""
    return told(engine.generate(prompts, n, SAMPLING, seeds))


def told(groups):
    return [[(r.tokens[0], r.tokens[1], r.weights_version) for r in group] for group in groups]


def asked(engine):
    """`drawn`, when it is called."""
    draw = engine.begin(PROMPTS, 2, SAMPLING, SEEDS)
    return lambda: told(draw())


def test_every_update_reaches_the_engine_before_it_samples(tmp_path):
    policy, setting = Policy("seed 0"), Setting(tmp_path)
    engine = setting.engine(policy)
    first = drawn(engine)
    assert {(w, v) for group in first for _, w, v in group} == {(1, 0)}
    with counted(tmp_path, "load_weights") as loads:
        assert drawn(engine) == first
    assert loads == [0]  # nothing had changed
    policy.update()
    second = drawn(engine)
    assert {(w, v) for group in second for _, w, v in group} == {(2, 1)}
    assert [[seed for seed, _, _ in g] for g in second] == [[s for s, _, _ in g] for g in first]


def test_policies_that_share_an_engine_get_their_own_weights(tmp_path):
    setting = Setting(tmp_path)
    first, second = Policy("seed 0", 5.0), Policy("seed 1", 7.0)
    engines = [setting.engine(first), setting.engine(second)]
    for _ in range(2):  # equal numbers of updates do not make weights equal
        assert [{w for g in drawn(engine) for _, w, _ in g} for engine in engines] == [{5}, {7}]


@pytest.mark.parametrize("engines", [2, 3, 8])
def test_a_response_does_not_depend_on_the_number_of_engines(tmp_path, engines):
    expected = drawn(Setting(tmp_path).engine(Policy("seed 0")))
    setting = Setting(tmp_path, engines=engines)
    assert drawn(setting.engine(Policy("seed 0"))) == expected
    assert len(setting.started) == min(engines, len(PROMPTS))  # no prompt, no process


def test_responses_to_a_prompt_differ_and_depend_on_its_seed_alone(tmp_path):
    engine = Setting(tmp_path).engine(Policy("seed 0"))
    whole = drawn(engine, n=4)
    assert len({seed for group in whole for seed, _, _ in group}) == 4 * len(PROMPTS)
    assert drawn(engine, PROMPTS[::-1], SEEDS[::-1], n=2) == [group[:2] for group in whole[::-1]]
    low = {seed % 2**32 for group in whole for seed, _, _ in group}
    assert len(low) == 4 * len(PROMPTS)
    assert drawn(engine, [[3]], [11 + 2**32]) != drawn(engine, [[3]], [11])


@pytest.mark.parametrize("method", ["start", "load_weights", "generate"])
def test_a_process_that_fails_is_replaced_and_nothing_else_changes(tmp_path, method):
    expected = drawn(Setting(tmp_path / "whole").engine(Policy("seed 0")))
    setting = Setting(tmp_path, faults=[f"{method} 1 raise"], engines=2)
    engine = setting.engine(Policy("seed 0"))
    assert drawn(engine) == expected
    assert [process.ended for process in setting.started].count(True) == 1
    assert len(setting.started) == 3
    (restart,) = engine.take_restarts()
    assert restart.startswith("engine ") and restart.endswith("ValueError: a fake error")
    assert engine.take_restarts() == []


@pytest.fixture(autouse=True)
def folders(tmp_path):
    (tmp_path / "whole").mkdir()


def test_a_replacement_gets_the_weights_of_now(tmp_path):
    policy = Policy("seed 0")
    setting = Setting(tmp_path, faults=["generate 2 raise"])
    engine = setting.engine(policy)
    drawn(engine)
    policy.update()
    assert {(w, v) for group in drawn(engine) for _, w, v in group} == {(2, 1)}
    assert len(setting.started) == 2


@pytest.mark.parametrize("sleeps", [True, False])
def test_what_was_asked_for_before_an_update_is_of_the_weights_before_it(tmp_path, sleeps):
    policy, setting = Policy("seed 0"), Setting(tmp_path, engines=2, sleeps=sleeps)
    engine = setting.engine(policy)
    expected = drawn(engine)
    with counted(tmp_path, "generate") as calls:
        earlier = asked(engine)
        policy.update()
        evaluated = drawn(engine)  # an evaluation comes in between
    assert earlier() == expected
    assert {(w, v) for group in evaluated for _, w, v in group} == {(2, 1)}
    assert calls == [4]  # and nothing was drawn twice


def test_policies_that_share_an_engine_may_all_have_asked_it(tmp_path):
    setting = Setting(tmp_path, sleeps=False)
    policies = [Policy("seed 0", 5.0), Policy("seed 1", 7.0)]
    engines = [setting.engine(policy) for policy in policies]
    earlier = [asked(engine) for engine in engines]
    for policy in policies:
        policy.update()
    assert [{w for g in draw() for _, w, _ in g} for draw in earlier] == [{5}, {7}]
    assert [{w for g in drawn(engine) for _, w, _ in g} for engine in engines] == [{6}, {8}]


def test_a_replacement_draws_what_was_asked_for_from_the_weights_of_now(tmp_path):
    policy = Policy("seed 0")
    setting = Setting(tmp_path, faults=["generate 2 raise"], engines=2, sleeps=False)
    engine = setting.engine(policy)
    whole = drawn(Setting(tmp_path / "whole").engine(Policy("seed 0")))
    draw = asked(engine)  # one of the two engines fails
    policy.update()
    found = draw()
    assert [[seed for seed, _, _ in g] for g in found] == [[s for s, _, _ in g] for g in whole]
    assert {(w, v) for group in found for _, w, v in group} == {(1, 0), (2, 1)}
    assert len(engine.take_restarts()) == 1


def test_what_an_engine_had_answered_before_it_was_lost_is_kept(tmp_path):
    policy = Policy("seed 0")
    setting = Setting(tmp_path, faults=["load_weights 2 raise"], sleeps=False)
    engine = setting.engine(policy)
    expected = drawn(Setting(tmp_path / "whole").engine(Policy("seed 0")))
    draw = asked(engine)
    policy.update()
    assert {(w, v) for group in drawn(engine) for _, w, v in group} == {(2, 1)}
    assert draw() == expected and len(setting.started) == 2


class OneByOne(SharedMemoryChannel):
    """Sends the weights to one engine after the other."""

    @contextmanager
    def sending(self, weights, version, engines):
        with super().sending(weights, version, {}), ThreadPoolExecutor(1) as turn:
            path = {"path": str(self.folder / f"{version}.safetensors")}
            save_file(dict(weights.tensors()), path["path"])
            yield {
                number: turn.submit(lambda e=engine: e.call("load_weights", path, version).result())
                for number, engine in engines.items()
            }


def test_an_engine_whose_turn_has_not_come_is_let_alone(tmp_path):
    policy = Policy("seed 0")
    setting = Setting(tmp_path, faults=["generate 1 work"], engines=2, deadline_s=2.0, sleeps=False)
    channel = OneByOne(torch.float32)
    channel.folder = tmp_path
    setting.pool._channel = channel
    engine = setting.engine(policy)
    draw = engine.begin(PROMPTS[:1], 1, SAMPLING, SEEDS[:1])  # one of them, beyond the deadline
    policy.update()
    assert {(w, v) for group in drawn(engine) for _, w, v in group} == {(2, 1)}
    assert [r.weights_version for (r,) in draw()] == [0]
    assert engine.take_restarts() == []


def test_one_death_with_two_questions_open_is_one_loss(tmp_path):
    setting = Setting(tmp_path, faults=["generate 1 raise"], sleeps=False)
    engine = setting.engine(Policy("seed 0"))
    draws = [asked(engine), asked(engine)]
    expected = drawn(Setting(tmp_path / "whole").engine(Policy("seed 0")))
    assert [draw() for draw in draws] == [expected, expected]
    assert len(engine.take_restarts()) == 1 and len(setting.started) == 2


def test_the_second_loss_fails_the_trial_with_the_end_of_the_log(tmp_path):
    setting = Setting(tmp_path, faults=["generate 1 raise", "generate 3 raise"])
    engine = setting.engine(Policy("seed 0"))
    drawn(engine)
    with pytest.raises(EngineFailed) as caught:
        drawn(engine)
    cause = lasting_cause(caught.value)
    assert cause.startswith("rollout engine 0 was lost while generating: ValueError: a fake error")
    assert cause.endswith("Its log ends: the last words | of a log")


def test_a_weight_update_that_hangs_ends_the_engine_at_its_deadline(tmp_path, monkeypatch):
    policy = Policy("seed 0")
    setting = Setting(tmp_path, faults=["load_weights 2 hang"], deadline_s=2.0)
    engine = setting.engine(policy)
    drawn(engine)
    policy.update()
    released = threading.Event()
    monkeypatch.setattr(time, "sleep", lambda seconds: released.wait(20))
    before = time.monotonic()
    try:
        assert {(w, v) for group in drawn(engine) for _, w, v in group} == {(2, 1)}
    finally:
        released.set()
    assert 2.0 < time.monotonic() - before < 15
    assert setting.started[0].ended and not setting.started[1].ended
    (restart,) = engine.take_restarts()
    assert "while loading weights: TimeoutError: no progress for 2 s" in restart


def test_an_engine_that_works_for_longer_than_the_deadline_is_let_alone(tmp_path):
    setting = Setting(tmp_path, faults=["generate 1 work"], deadline_s=2.0)
    before = time.monotonic()
    drawn(setting.engine(Policy("seed 0")))
    assert time.monotonic() - before > 2.5
    assert len(setting.started) == 1


def test_an_answer_from_other_weights_is_never_accepted(tmp_path):
    expected = drawn(Setting(tmp_path / "whole").engine(Policy("seed 0")))
    setting = Setting(tmp_path, faults=["generate 1 stale"])
    engine = setting.engine(Policy("seed 0"))
    assert drawn(engine) == expected
    (restart,) = engine.take_restarts()
    assert "wrong weights 'seed 0:1000', expected 'seed 0:0'" in restart


def test_an_engine_that_rested_is_sent_its_weights_again(tmp_path):
    setting = Setting(tmp_path)
    engine = setting.engine(Policy("seed 0"))
    expected = drawn(engine)
    engine.rest()
    with counted(tmp_path, "load_weights") as loads:
        assert drawn(engine) == expected
    assert loads == [1]


def test_logits_that_are_not_numbers_are_told_apart_from_a_broken_engine(tmp_path, monkeypatch):
    setting = Setting(tmp_path)
    engine = setting.engine(Policy("seed 0"))
    answer = [[((5, 2), (-1.0, math.nan))]]
    monkeypatch.setattr(setting.pool, "fetch", lambda _: [Answer(0, group) for group in answer])
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.generate([[3]], 1, SAMPLING, [1])


def test_a_prompt_that_leaves_no_room_for_its_response_is_refused(tmp_path):
    engine = Setting(tmp_path).engine(Policy("seed 0"))
    with pytest.raises(
        ValueError, match="may have 65 tokens, but the vLLM engine supports at most 64"
    ):
        engine.generate([[5] * 57], 1, SAMPLING, [1])


def test_closing_ends_the_processes(tmp_path):
    setting = Setting(tmp_path, engines=2)
    drawn(setting.engine(Policy("seed 0")))
    setting.pool.close()
    assert all(process.ended for process in setting.started)


def test_the_fakes_have_the_methods_of_the_real_engine():
    from conspo_study.rollout.vllm_actor import VllmActor

    public = {name for name in vars(FakeActor) if not name.startswith("_")}
    assert public <= set(vars(VllmActor))
