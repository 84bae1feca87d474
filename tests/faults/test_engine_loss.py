"""An engine process is killed: real processes started by Ray, with fakes in place of vLLM."""

import os
import re
import signal
from pathlib import Path

import pytest
import ray
import torch
from fake_engines import FakeActor, TransformersActor
from safetensors.torch import load_file
from studies_under_fire import wait_for
from training_runs import LARGEST_MISMATCH, run, untimed

from conspo_study.cluster.connection import ray_cluster
from conspo_study.cluster.failures import lasting_cause
from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.results.incidents import IncidentType
from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.engine_actor import EngineActor
from conspo_study.rollout.engine_pool import EngineFailed, EnginePool, Request
from conspo_study.rollout.weight_memory import SharedMemoryChannel
from conspo_study.training import engines

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TESTS = Path(__file__).resolve().parents[1]
CONFIG = with_overrides(
    QUICK,
    {
        "policy.warm_start_steps": 150,
        "rollout.engine": "vllm",
        "evaluation.problems_per_set": 2,
        "train.checkpoint_every": 4,
    },
)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A Ray whose workers find these tests, forked as those of a study are."""
    tmp_path_factory.getbasetemp()  # or it would lie in the folder of this Ray, and go with it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS / "support")]))
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_cluster():
            yield


def pool_of(folder, *faults, engines=1, deadline_s=300.0):
    settings = {"folder": str(folder), "faults": list(faults)}
    return EnginePool(
        lambda number: EngineActor(FakeActor, folder / f"{number}.log", {}),
        settings,
        SharedMemoryChannel(torch.float32),
        engines,
        deadline_s,
    )


WEIGHTS = PolicyWeights("seed 0", lambda: 3, lambda: [("w", torch.tensor(5.0))])
REQUESTS = [Request((7,), (1, 2)), Request((8, 9), (3, 4)), Request((6,), (5, 6))]


def generate(pool):
    answers = pool.generate(WEIGHTS, REQUESTS, Sampling(1.0, 8), [2])
    return [answer.responses for answer in answers]


def test_a_process_that_dies_while_it_generates_is_replaced(tmp_path):
    pool = pool_of(tmp_path, "generate 1 die", engines=2)
    expected = [[((seed, 5, 2), (-0.5,) * 3) for seed in r.seeds] for r in REQUESTS]
    assert generate(pool) == expected
    (restart,) = pool.take_restarts()
    assert re.match(r"engine [01] was lost while generating: ActorDied", restart)
    pool.close()


def test_a_process_that_dies_with_two_questions_open_is_lost_once(tmp_path):
    pool = pool_of(tmp_path, "generate 1 die")
    asked = [pool.begin(WEIGHTS, REQUESTS, Sampling(1.0, 8), [2]) for _ in range(2)]
    first, second = ([answer.responses for answer in pool.fetch(call)] for call in asked)
    assert first == second
    assert len(pool.take_restarts()) == 1
    pool.close()


def test_a_process_that_dies_twice_fails_the_trial_with_the_end_of_its_log(tmp_path):
    pool = pool_of(tmp_path, "load_weights 1 die", "generate 1 die")
    with pytest.raises(EngineFailed) as caught:
        generate(pool)
    cause = lasting_cause(caught.value)
    assert cause.startswith("rollout engine 0 was lost while generating: ")
    assert re.search(r"a fake engine, process \d+ \| generate 1 will die$", cause)


def test_a_hanging_weight_update_ends_the_process(tmp_path):
    pool = pool_of(tmp_path, "load_weights 1 hang", deadline_s=30.0)
    generate(pool)
    (restart,) = pool.take_restarts()
    assert "while loading weights: TimeoutError: no progress for 30 s" in restart
    first, second = processes(tmp_path / "0.log")
    wait_for(lambda: not Path(f"/proc/{first}").exists(), 60, "the end of the hanging process")
    assert Path(f"/proc/{second}").exists()
    pool.close()
    wait_for(lambda: not Path(f"/proc/{second}").exists(), 60, "the end of its replacement")


def processes(log):
    return re.findall(r"a fake engine, process (\d+)", log.read_text())


def test_an_engine_ends_with_the_worker_that_started_it(tmp_path):
    @ray.remote(num_cpus=1)
    class Worker:
        def start(self):
            self.pool = pool_of(tmp_path)
            generate(self.pool)
            return os.getpid()

    worker = Worker.remote()
    pid = ray.get(worker.start.remote(), timeout=600)
    (engine,) = processes(tmp_path / "0.log")
    assert Path(f"/proc/{engine}").exists()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{engine}").exists(), 60, "the end of the engine")


def train_with(monkeypatch, folder, policy, *faults):
    """Run a trial whose engines really sample; its recorder and its last weights by seed."""
    folder.mkdir()
    settings_of = engines.vllm_settings

    def with_faults(*arguments):
        return settings_of(*arguments) | {"folder": str(folder), "faults": list(faults)}

    monkeypatch.setattr(engines, "vllm_settings", with_faults)
    monkeypatch.setattr(engines, "VllmActor", TransformersActor)
    recorder = run(folder, policy, CONFIG)
    last = recorder.checkpoint(CONFIG.train.steps)
    weights = {seed: load_file(last / f"seed-{seed}" / "model.safetensors") for seed in (0, 1)}
    return recorder, weights


def test_a_trial_whose_engine_dies_comes_to_the_same_result(monkeypatch, tmp_path, tiny_policy):
    whole, expected = train_with(monkeypatch, tmp_path / "whole", tiny_policy)
    killed, weights = train_with(monkeypatch, tmp_path / "killed", tiny_policy, "generate 20 die")
    assert [untimed(row) for row in killed.rows] == [untimed(row) for row in whole.rows]
    assert killed.evaluations == whole.evaluations
    assert killed.kept == whole.kept != []
    for seed, tensors in expected.items():
        assert all(torch.equal(weights[seed][name], tensor) for name, tensor in tensors.items())
    # Sampler and trainer agree only if both seeds' weights were in the engine when they sampled.
    assert (
        max(row["mismatch_max"] for row in whole.rows if "mismatch_max" in row) < LARGEST_MISMATCH
    )
    assert whole.total.get(IncidentType.ENGINE_RESTARTED, (0, ""))[0] == 0
    assert killed.total[IncidentType.ENGINE_RESTARTED][0] == 1
