"""Trainers and their engines use the GPUs that Ray gave their trial, each its own."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

SUPPORT = Path(__file__).resolve().parents[1] / "support"
VLLM = {"rollout.engine": "vllm", "train.gpus_per_worker": 1, "train.cpus_per_worker": 1}
COLOCATED = VLLM | {"train.workers": 4, "rollout.vllm_colocated": True}
APART = VLLM | {"train.workers": 2, "rollout.vllm_gpus": 1, "rollout.vllm_engines": 2}
PARALLEL = VLLM | {"train.workers": 2, "rollout.vllm_gpus": 2}


@pytest.mark.slow
@pytest.mark.ray
def test_eight_gpus_are_shared_out_among_trainers_and_engines(tmp_path):
    trials = [COLOCATED, APART, PARALLEL]
    environment = {**os.environ, "PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-m", "gpu_places"],
        input="".join(json.dumps(one) + "\n" for one in trials),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    colocated, apart, parallel = map(json.loads, done.stdout.splitlines())

    assert len({place["trainer"] for place in colocated}) == 4
    for place in colocated:
        assert place["engines"] == [place["own"]] == [[place["trainer"]]]
    assert_each_has_its_own(apart, workers=2, engines=2, gpus=1)
    assert_each_has_its_own(parallel, workers=2, engines=1, gpus=2)
    # In a reservation vLLM would start the parts of a model as further Ray actors.
    assert not any(chain(*(place["reserved"] for place in [*colocated, *apart, *parallel])))


def assert_each_has_its_own(places, workers, engines, gpus):
    assert len(places) == workers
    for place in places:
        assert [len(seen) for seen in place["engines"]] == [gpus] * engines
        assert sorted([place["trainer"], *chain(*place["engines"])]) == sorted(place["own"])
    used = list(chain(*(place["own"] for place in places)))
    assert len(set(used)) == len(used) == workers * (1 + engines * gpus)
