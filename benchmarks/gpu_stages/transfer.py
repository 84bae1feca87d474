"""Weights on their way: handles to another process, streams, a shard and the whole."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.reductions import rebuild_cuda_tensor

from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.sharding import save_sharded_policy, shard, whole_weights
from conspo_study.policy.weights import named_weights
from conspo_study.rollout.engine import PolicyWeights
from conspo_study.rollout.weight_gpu import SharedGpuChannel
from conspo_study.update.world import World
from gpu_stages.place import Found, Place

ANSWER_S = 120.0
ROUNDS = 20
LEFT_GIB = 0.1
"""Memory that may stay when weights are a shard again."""
PORT = "29577"


def ipc(place: Place) -> Found:
    """Our channel to another process: every tensor must arrive, and again after an update, and so
    must one that the engine reads after the chunk it came with."""
    model = place.model("1.5b")
    receiver, found, wrong = Receiver(), {}, []
    channel = SharedGpuChannel(torch.bfloat16)
    weights = PolicyWeights("seed 0", lambda: 0, lambda: named_weights(model))
    size = sum(2 * tensor.numel() for _, tensor in named_weights(model))
    for turn in (1, 2):
        place.wait()
        start = time.perf_counter()
        with channel.sending(weights, f"seed 0:{turn}", {0: receiver}) as calls:
            calls[0].result(ANSWER_S)
        seconds = time.perf_counter() - start
        found[f"turn {turn}"] = {"seconds": seconds, "gb_per_s": size / 1e9 / seconds}
        for name, tensor in named_weights(model):
            expected = float(tensor.to(torch.bfloat16).double().sum())
            for told in (name, f"late {name}"):
                arrived = receiver.sums.get(told, expected if told != name else float("nan"))
                if not abs(arrived - expected) <= 1e-6 * max(1.0, abs(expected)):
                    wrong.append(f"turn {turn}: {told}")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)
    receiver.end()
    return found, wrong[:10]


class Receiver:
    """An `EngineProcess` that does with an update what vLLM's engine does, without vLLM."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        context.Process(target=receive, args=(other,), daemon=True).start()
        self._thread = ThreadPoolExecutor(1)
        self.sums: dict[str, float] = {}

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        return self._thread.submit(self._call, method, arguments)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._connection.send((method, arguments))
        if told := self._connection.recv():
            self.sums = told

    def end(self) -> None:
        self._connection.send(None)


def receive(connection: Any) -> None:
    """Open handles and tell the sums of the tensors behind them; keep one over a chunk's end."""
    torch.cuda.init()
    gpu = str(torch.cuda.get_device_properties(0).uuid)
    sums: dict[str, float] = {}
    kept: tuple[str, torch.Tensor] | None = None
    while (message := connection.recv()) is not None:
        method, arguments = message
        if method == "start_weight_update":
            sums = {}
        if method == "update_weights":
            (info,) = arguments
            for name, handles in zip(info["names"], info["ipc_handles"], strict=True):
                handle = list(handles[gpu])
                handle[6] = 0  # the device of this process
                tensor = rebuild_cuda_tensor(*handle)
                sums[name] = float(tensor.double().sum())
            if kept is not None:
                sums[f"late {kept[0]}"] = float(kept[1].double().sum())
            kept = (name, tensor)
            del tensor
            torch.cuda.synchronize()
        if method == "finish_weight_update":
            kept = None
        connection.send(sums if method == "finish_weight_update" else None)


def stream_race(place: Place) -> Found:
    """Whether a stream beside the trainer's, as vLLM sends on, reads weights of before a step."""
    weights = torch.zeros(1 << 28, device=place.device)
    side = torch.cuda.Stream()
    stale = {}
    for waits in (False, True):
        count = 0
        for _ in range(ROUNDS):
            place.wait()
            for _ in range(8):
                weights.add_(1.0)
            if waits:
                torch.cuda.current_stream().synchronize()
            with torch.cuda.stream(side):
                copy = weights.to(torch.bfloat16)
            side.synchronize()
            place.wait()
            count += bool((copy != weights.to(torch.bfloat16)).any())
        stale[f"waits {waits}"] = count
    wrong = [f"{stale['waits True']} stale reads despite waiting"] if stale["waits True"] else []
    return stale, wrong


def fsdp_one(place: Place) -> Found:
    """FSDP2 on one rank: its shard moves, computes, is whole for sampling, and a shard again."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": PORT, "LOCAL_RANK": "0"}
    backend = "cpu:gloo,cuda:nccl" if place.gpu else "gloo"
    model = place.model("1.5b").to("cpu")
    place.forget()
    dist.init_process_group(backend, rank=0, world_size=1)
    try:
        return _sharded(place, model)
    finally:
        dist.destroy_process_group()


def _sharded(place: Place, model: Any) -> Found:
    shard(model, 1, "bfloat16", place.device.type)
    found: dict[str, Any] = {"shard_gib": place.peak_gib()}
    place.forget()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    for _ in range(2):
        prompt, response = tuple([5] * 8), tuple([7] * 512)
        response_logprobs(model, [prompt], [response], 1.0, "bfloat16").sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    found["step_gib"] = place.peak_gib()
    World(0, 1, sharded=True).gather({"a": 1})
    place.forget()
    before, names, dtypes = place.held_gib(), set(), set()
    for _ in range(2):
        start = time.perf_counter()
        with whole_weights(model):
            for name, tensor in named_weights(model):
                names.add(name)
                dtypes.add(str(tensor.dtype).removeprefix("torch."))
            place.wait()
            found["whole_gib"] = place.held_gib()
        found["whole_seconds"] = time.perf_counter() - start
    place.forget()
    found |= {"after_gib": place.held_gib(), "tensors": len(names), "dtypes": sorted(dtypes)}
    folder = place.scratch / "sharded"
    folder.mkdir()
    save_sharded_policy(model, _NoTokenizer(), 0, 1, folder)
    found["files"] = sorted(path.name for path in folder.iterdir())
    left = found["after_gib"] - before
    wrong = [f"{left:.2f} GiB stay of the whole weights"] if left > LEFT_GIB else []
    wrong += [] if dtypes == {"bfloat16"} else [f"whole weights are {sorted(dtypes)}"]
    return found, wrong


class _NoTokenizer:
    def save_pretrained(self, folder: Any) -> None:
        """Write nothing."""
