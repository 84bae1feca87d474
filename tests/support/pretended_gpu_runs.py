"""Training runs on a pretended GPU and on the CPU, for a process of its own.

    python pretended_gpu_runs.py POLICY SCRATCH < cases.json

POLICY: the folder of an embedded policy. SCRATCH: a folder for checkpoints. Reads a JSON object of
cases by name, each with `settings`, and perhaps with `resumed` (true to go on once more from the
first checkpoint) or `forgotten` (a piece of a method's source to leave out on the GPU: module, name
and text). Writes a line of JSON per case: `cpu`, `gpu` and `resumed`, each the rows of a run's
steps or the error that ended it, and of the GPU the `operations` and the `waits`.
"""

import importlib
import inspect
import json
import sys
import tempfile
import textwrap
from contextlib import contextmanager, nullcontext
from functools import reduce
from pathlib import Path

import pretended_gpu
from pretended_gpu import PretendedGpu
from training_runs import run, untimed

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.update import device

SMALL = {
    "train.steps": 2,
    "train.checkpoint_every": 1,
    "rollout.prompts_per_step": 8,
    "rollout.max_new_tokens": 24,
    "evaluation.sets": ["chain/easy"],
    "evaluation.tracked": ["chain/easy"],
    "evaluation.problems_per_set": 2,
    "evaluation.samples": 1,
    "evaluation.max_new_tokens": 6,
    "train.store_rollouts_every": 1,
    "update.store_credits_every": 1,
}


def outcome(policy, settings, gpus, resume_from=None):
    """The rows of a run, and its first checkpoint; of one that fails, its error and None."""
    config = with_overrides(QUICK, {**SMALL, **settings, "train.gpus_per_worker": gpus})
    folder = Path(tempfile.mkdtemp(dir=sys.argv[2]))
    try:
        done = run(folder, policy, config, seeds=(1,), resume_from=resume_from)
    except Exception as error:
        return f"{type(error).__name__}: {error}", None
    return [untimed(row) for row in done.rows], done.checkpoint(1)


@contextmanager
def forgotten(module, name, text):
    """A method without a piece of its source."""
    method = reduce(getattr, name.split("."), importlib.import_module(module))
    source = textwrap.dedent(inspect.getsource(method))
    assert source.count(text) == 1, f"{name} of {module} has {source.count(text)} times {text}"
    made = {}
    exec(compile(source.replace(text, ""), module, "exec"), method.__globals__, made)
    whole, method.__code__ = method.__code__, made[method.__name__].__code__
    try:
        yield
    finally:
        method.__code__ = whole


def main():
    device.GPU = pretended_gpu.NAME
    policy = Path(sys.argv[1])
    for name, case in json.load(sys.stdin).items():
        settings = case["settings"]
        told = {"case": name, "cpu": outcome(policy, settings, gpus=0)[0]}
        mistake = forgotten(*case["forgotten"]) if "forgotten" in case else nullcontext()
        begun, pretended_gpu.waits[:] = pretended_gpu.operations, []
        with PretendedGpu(), mistake:
            told["gpu"], checkpoint = outcome(policy, settings, gpus=1)
            told["operations"] = pretended_gpu.operations - begun
            told["waits"] = len(pretended_gpu.waits)
            if case.get("resumed"):
                told["resumed"] = outcome(policy, settings, 1, checkpoint)[0]
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
