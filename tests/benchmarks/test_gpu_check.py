"""The check of a first GPU finds what it looks for, and needs neither Ray nor vLLM."""

import os
import subprocess
import sys
from pathlib import Path

import gpu_check
import pytest
import torch
from gpu_stages import kernels, trainer, transfer
from gpu_stages.place import Place
from tiny_models import random_model

BENCHMARKS = Path(gpu_check.__file__).parent


@pytest.fixture
def place(tmp_path):
    return Place(False, tmp_path)


def test_a_stage_that_raises_or_finds_something_does_not_pass(place):
    def breaks(place):
        raise RuntimeError("no kernel image")

    found = gpu_check.run(breaks, place)
    assert not found["passes"] and found["wrong"][0] == "RuntimeError: no kernel image"
    assert gpu_check.run(lambda place: ({"a": 1}, []), place)["passes"]
    told = gpu_check.run(lambda place: ({"a": 1}, ["too slow"]), place)
    assert not told["passes"] and told["numbers"] == {"a": 1}


def test_losses_that_differ_are_found():
    same = [{"step": 1, "loss": 2.0, "grad_norm": 10.0}, {"step": 2, "loss": None}]
    assert trainer.differences("a and b", same, same) == []
    for metric, value in (("loss", 2.01), ("loss", None), ("grad_norm", 10.2)):
        other = [{**same[0], metric: value}, same[1]]
        (line,) = trainer.differences("a and b", same, other)
        assert metric in line and "step 1" in line
    assert trainer.differences("a and b", same, same[:1])


def test_times_that_differ_where_kernels_are_waited_for_are_found(monkeypatch, tmp_path):
    """On a GPU whose clock does not wait, passes take no time and the optimiser all of it."""
    rows = {
        "0": '{"time/generate_s": 1, "time/score_s": 0.1, "time/backward_s": 0.1,'
        ' "time/optimizer_s": 3, "mfu": 1.4}',
        "1": '{"time/generate_s": 1, "time/score_s": 1, "time/backward_s": 2,'
        ' "time/optimizer_s": 0.1, "mfu": 0.1}',
    }

    def run(*arguments, env, **named):
        return subprocess.CompletedProcess((), 0, rows[env["CUDA_LAUNCH_BLOCKING"]], "")

    monkeypatch.setattr(trainer.subprocess, "run", run)
    _, wrong = trainer.clock(Place(True, tmp_path))
    assert [line.partition(":")[0] for line in wrong] == [
        "time/score_s",
        "time/backward_s",
        "time/optimizer_s",
        "mfu is 1.40",
    ]
    rows["0"] = rows["1"]
    assert trainer.clock(Place(True, tmp_path))[1] == []


def test_the_plan_is_given_the_sizes_of_weights_that_are_not_written(tmp_path):
    from conspo_study.config import RunConfig, with_overrides
    from conspo_study.forecast.memory import estimate_memory

    model = random_model("Qwen2", tie_word_embeddings=False)
    kernels.describe(model, tmp_path)
    run = with_overrides(RunConfig(), {"policy.model": str(tmp_path)})
    count = sum(parameter.numel() for parameter in model.parameters())
    weights = next(i for i in estimate_memory(run, 1).standing if i.name == "weights")
    assert weights.bytes == 4 * count


def test_tensors_that_arrive_otherwise_are_found(place, monkeypatch):
    """With a receiver in this process, one of whose tensors is another at the second turn."""
    kept = []

    class Channel:
        def __init__(self, dtype):
            pass

        def sending(self, weights, version, engines):
            return Sent(weights, version, engines)

    class Sent:
        def __init__(self, weights, version, engines):
            self.weights, self.turn, self.engine = weights, version[-1], engines[0]

        def __enter__(self):
            sums = {
                name: float(tensor.to(torch.bfloat16).double().sum())
                for name, tensor in self.weights.tensors()
            }
            if self.turn == "2":
                sums["model.norm.weight"] += 1.0
                del sums["lm_head.weight"]
            self.engine.sums = sums
            kept.append(self.turn)
            done = transfer.Future()
            done.set_result(None)
            return {0: done}

        def __exit__(self, *error):
            return False

    class Receiver:
        def __init__(self):
            self.sums = {}

        def end(self):
            pass

    monkeypatch.setattr(transfer, "SharedGpuChannel", Channel)
    monkeypatch.setattr(transfer, "Receiver", Receiver)
    _, wrong = transfer.ipc(place)
    assert kept == ["1", "2"]
    assert sorted(wrong) == ["turn 2: lm_head.weight", "turn 2: model.norm.weight"]


@pytest.mark.slow
def test_it_needs_no_ray_and_no_vllm():
    """Nor what only studies and their reports need."""
    absent = ["ray", "vllm", "optuna", "pandas", "pyarrow", "tyro", "rich", "matplotlib", "psutil"]
    code = (
        f"import runpy, sys\nfor name in {absent!r}: sys.modules[name] = None\n"
        "sys.argv = ['gpu_check.py', '--rehearse', '--only', 'trainer_float32', 'sampling']\n"
        "runpy.run_path('gpu_check.py', run_name='__main__')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("passes") == 2
