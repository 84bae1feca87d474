"""Run the workers of trials on a Ray with eight pretended GPUs, and print which GPUs they and their
engines would use: a line of JSON for each line of settings on standard input.

Cluster, placement and environments are the real ones. In place of training, a worker tells where it
is; the part of its process group that needs a GPU is left out.
"""

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from conspo_study.cluster import connection, trial
from conspo_study.config import RunConfig, parse_config, with_overrides
from conspo_study.rollout.engine_actor import EngineActor, own_gpus
from conspo_study.training import engines

GPUS = 8


class Engine:
    """In place of vLLM."""

    def __init__(self, log, heartbeat):
        pass

    def see(self):
        """Its GPUs, and whether it belongs to the trial's reservation."""
        from ray.util import get_current_placement_group

        visible = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return visible, get_current_placement_group() is not None


def worker(told):
    """Write which GPUs this worker and its engines would use."""
    import ray.train
    from ray.air._internal.torch_utils import get_devices

    run = parse_config(told["run"])
    rank = ray.train.get_context().get_world_rank()
    device, *_ = get_devices()  # Ray Train makes the first one the current one
    actors = [
        EngineActor(Engine, Path(told["folder"]) / "log", engines._environment(run, number))
        for number in range(run.rollout.vllm_engines)
    ]
    seen = [actor.call("see").result(60) for actor in actors]
    place = {
        "trainer": os.environ["CUDA_VISIBLE_DEVICES"].split(",")[device.index],
        "own": own_gpus(),
        "engines": [gpus for gpus, _ in seen],
        "reserved": [reserved for _, reserved in seen],
    }
    (Path(told["folder"]) / f"{rank}.json").write_text(json.dumps(place))


def places(settings):
    """Of each worker of a trial with these settings."""
    from ray.train import UserCallback

    run = with_overrides(RunConfig(), settings)
    folder = Path(tempfile.mkdtemp())
    told = {"run": run.model_dump(mode="json"), "folder": str(folder)}
    spec = SimpleNamespace(
        payload=lambda: told, run_name=folder.name, run_folder=folder / "ray" / "run"
    )
    trial._trainer(spec, run, UserCallback()).fit()
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def main():
    for name, value in connection.RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    connection.usable_gpus, connection.usable_cores = lambda: GPUS, lambda: 16
    with connection.ray_cluster():
        import ray.train.torch

        trial.train_worker = worker
        ray.train.torch.TorchConfig = partial(_without_a_gpu, ray.train.torch.TorchConfig)
        for line in sys.stdin:
            print(json.dumps(places(json.loads(line))), flush=True)


def _without_a_gpu(kind, backend):
    return kind(backend=backend.partition(",")[0].removeprefix("cpu:"))


if __name__ == "__main__":
    sys.modules["gpu_places"] = sys.modules["__main__"]
    main()
