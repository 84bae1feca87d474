"""Weights on their way to a real vLLM engine as on GPUs, with only the transport replaced.

    python emulated_transports.py KIND FAMILY tied|untied|adapted SCRATCH [NAME ...]

KIND: `shared` (the engine sleeps on the trainer's GPU and opens handles of its memory) or
`broadcast`. Adapted: a tied model with adapters. Runs our channel, pool, engine and actor, and
vLLM's engine core, scheduler, sender, receiver and layer-by-layer reloading, on a CPU in this
process. Replaced are: handles of GPU memory (the tensors themselves), NCCL (a queue), streams
(nothing) and the allocator's part of sleep (all weights and buffers become NaN). NAME: tensors that
the trainer leaves out.

Writes JSON lines: after each draw the version of its weights and the largest difference of the
engine's log-probabilities from the trainer's, in nats, and at last what the engine was asked; or
the error that ended it.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

os.environ.update(
    {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCHDYNAMO_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
)

import torch
from engine_contract import TOKENIZER
from tiny_models import random_model

from conspo_study.config import PolicyConfig, RunConfig, with_overrides
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.lora import add_adapters
from conspo_study.policy.weights import architecture_folder, named_weights
from conspo_study.rollout import weight_gpu
from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.engine_pool import EnginePool
from conspo_study.rollout.heartbeat import Heartbeat
from conspo_study.rollout.vllm_actor import VllmActor
from conspo_study.rollout.vllm_engine import VllmEngine
from conspo_study.rollout.weight_backends import BROADCAST, SHARED_GPU
from conspo_study.training.engines import vllm_settings

KIND, FAMILY, TIED, SCRATCH, *LEFT_OUT = sys.argv[1:]
SLEEPS = KIND == "shared"
PROMPTS, SEEDS, GROUP = [[5, 6, 7], [9, 8]], [1, 2], 4
SAMPLING = Sampling(1.0, 12)


class Nothing:
    """A stream or an event of a device that computes at once."""

    def __init__(self, *arguments, **named):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __getattr__(self, name):
        return lambda *arguments, **named: None


def replace_the_device():
    """Answer as a GPU does where torch is asked about one."""
    for name in ("set_device", "empty_cache", "ipc_collect"):
        setattr(torch.cuda, name, lambda *arguments: None)
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_properties = lambda device: SimpleNamespace(uuid="GPU-0")
    torch.cuda.Stream = torch.cuda.Event = torch.cuda.stream = Nothing
    torch.cuda.current_stream = lambda *arguments: Nothing()
    torch.accelerator.current_device_index = lambda: 0


def replace_handles():
    """A handle is a number; memory is shared, as it is between processes of one GPU."""
    import vllm.distributed.weight_transfer.ipc_engine as ipc

    shelf = {}

    def reduce_tensor(tensor):
        shelf[len(shelf)] = tensor
        return None, (None,) * 6 + ("device", len(shelf) - 1)

    weight_gpu.reduce_tensor = reduce_tensor
    ipc.rebuild_cuda_tensor = lambda *handle: shelf[handle[7]]


def replace_nccl():
    """A broadcast is a queue."""
    import vllm.distributed.weight_transfer.nccl_engine as nccl

    queue = Queue()

    class Communicator:
        def __init__(self, sends):
            self.sends = sends

        def broadcast(self, tensor, src=0, stream=None):
            if self.sends:
                queue.put(tensor.clone())
            else:
                tensor.copy_(queue.get(timeout=60))

        def destroy(self):
            pass

    nccl.open_trainer_endpoint = lambda info: Communicator(True)
    nccl.worker_init_process_group = lambda info, parallel: Communicator(False)


def replace_sleep():
    """Sleeping memory is lost; vLLM keeps buffers aside."""
    from vllm.v1.worker.cpu_worker import CPUWorker

    def sleep(self, level=1):
        assert level == 2
        model = self.model_runner.model
        self.kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.is_floating_point():
                    tensor.fill_(float("nan"))

    def wake_up(self, tags=None):
        for name, buffer in self.model_runner.model.named_buffers():
            if "weights" in tags:
                buffer.copy_(self.kept[name])

    CPUWorker.sleep, CPUWorker.wake_up = sleep, wake_up


def renew_tied_heads():
    """On a CPU a head tied to the embedding has a copy for its kernel, on a GPU it has none."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    from conspo_study.rollout.vllm_weights import BroadcastEngine, SharedGpuEngine

    for engine in (BroadcastEngine, SharedGpuEngine):

        def finish(self, whole=engine.finish_weight_update):
            whole(self)
            for module in self.model.modules():
                if isinstance(module, ParallelLMHead) and hasattr(module, "cpu_linear"):
                    module.quant_method.process_weights_after_loading(module)

        engine.finish_weight_update = finish


class Actor(VllmActor):
    """The engine, without redirecting the output of this process."""

    def __init__(self):
        heartbeat = Path(SCRATCH, "heartbeat")
        heartbeat.write_bytes(bytes(8))
        self._log = Path(SCRATCH, "log")
        self._log.touch()
        self._heartbeat = Heartbeat(str(heartbeat))
        self._llm, self._loading, self._asleep = None, True, False


class Process:
    """An `EngineProcess` that is a thread."""

    def __init__(self):
        self.actor, self.thread, self.asked = Actor(), ThreadPoolExecutor(1), []

    def call(self, method, *arguments):
        self.asked.append(method)
        return self.thread.submit(getattr(self.actor, method), *arguments)

    def heartbeat(self):
        return int.from_bytes(Path(SCRATCH, "heartbeat").read_bytes(), "little")

    def log_tail(self):
        return ""

    def end(self):
        pass


def main():
    replace_the_device()
    replace_handles()
    replace_nccl()
    replace_sleep()
    renew_tied_heads()
    shape = {"hidden_size": 128, "head_dim": 32, "initializer_range": 0.15}
    model = random_model(FAMILY, tie_word_embeddings=TIED != "untied", **shape)
    plain = architecture_folder(model)
    if TIED == "adapted":
        add_adapters(model, PolicyConfig(lora_rank=4))
    config = with_overrides(RunConfig(), {"rollout.engine": "vllm", "rollout.vllm_cache_mib": 64})
    settings = vllm_settings(config, plain, 128)
    settings |= {"backend": SHARED_GPU if SLEEPS else BROADCAST, "sleeps": SLEEPS}
    weight_gpu._CHUNK_BYTES = 150_000  # layers lie across chunks
    channel = weight_gpu.BroadcastChannel(torch.float32, 1)
    if SLEEPS:
        channel = weight_gpu.SharedGpuChannel(torch.float32)
    processes, updates = [], 0

    def start(number):
        processes.append(Process())
        return processes[-1]

    def tensors():
        return (pair for pair in named_weights(model) if pair[0] not in LEFT_OUT)

    engine = VllmEngine(
        EnginePool(start, settings, channel, 1, 120.0),
        PolicyWeights("seed 0", lambda: updates, tensors),
        TOKENIZER,
    )

    def draw():
        groups = engine.generate(PROMPTS, GROUP, SAMPLING, SEEDS)
        prompts = [prompt for prompt in PROMPTS for _ in range(GROUP)]
        responses = [response for group in groups for response in group]
        with torch.no_grad():
            ours = response_logprobs(model, prompts, [r.tokens for r in responses])
        theirs = torch.tensor([p for r in responses for p in r.logprobs])
        versions = sorted({r.weights_version for r in responses})
        gap = float((ours - theirs).abs().max())
        print(json.dumps({"versions": versions, "gap": gap}), flush=True)

    draw()
    engine.rest()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    updates = 1
    draw()
    engine.rest()
    draw()
    draw()
    print(json.dumps({"asked": processes[0].asked}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    os._exit(0)  # vLLM's threads would keep the process
