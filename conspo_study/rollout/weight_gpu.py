"""Sends weights to engines on GPUs, by vLLM's own weight transfer.

Weights never pass through main memory: an engine with its own GPUs receives a broadcast over NCCL,
one that shares the trainer's GPU opens handles of shared GPU memory.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.multiprocessing.reductions import reduce_tensor

from conspo_study.rollout.engine import PolicyWeights
from conspo_study.rollout.engine_pool import EngineProcess
from conspo_study.rollout.weight_shapes import KnownShapes, Shapes

_CHUNK_BYTES = 1 << 30
"""Size of the copies of weights that exist at once on a shared GPU."""


class SharedGpuChannel:
    """A `WeightChannel` to the engine that shares the trainer's GPU: vLLM's backend `ipc`."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype
        self._met: EngineProcess | None = None

    @contextmanager
    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> Iterator[dict[int, Future[Any]]]:
        """See `WeightChannel`."""
        torch.cuda.empty_cache()  # the engine needs the memory that PyTorch caches for the trainer
        with _thread() as thread:
            yield {
                number: thread.submit(self._send, weights, version, engine)
                for number, engine in engines.items()
            }
        torch.cuda.ipc_collect()  # type: ignore[no-untyped-call]

    def _send(self, weights: PolicyWeights, version: str, engine: EngineProcess) -> None:
        if engine is not self._met:
            engine.call("init_weight_transfer", {"packed": False}).result()
            self._met = engine
        engine.call("start_weight_update").result()
        gpu = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        for chunk in _chunks(weights, self._dtype):
            # The copies must exist until the engine has read them.
            handles = [{gpu: _handle(tensor)} for _, tensor in chunk]
            info = _description(chunk) | {"ipc_handles": handles}
            engine.call("update_weights", info).result()
        engine.call("finish_weight_update", version).result()


class BroadcastChannel:
    """A `WeightChannel` to engines of `gpus` GPUs each, on this node: vLLM's backend `nccl`.

    Every engine has its own process group with the trainer, so that one can be replaced alone.
    """

    def __init__(self, dtype: torch.dtype, gpus: int):
        self._dtype, self._gpus = dtype, gpus
        self._shapes = KnownShapes()
        self._connections: dict[int, _Connection] = {}
        """By engine number."""

    @contextmanager
    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> Iterator[dict[int, Future[Any]]]:
        """See `WeightChannel`."""
        with _thread() as thread:
            yield {
                number: thread.submit(self._send, weights, version, number, engine)
                for number, engine in engines.items()
            }

    def _send(
        self, weights: PolicyWeights, version: str, number: int, engine: EngineProcess
    ) -> None:
        known = self._connections.get(number)
        if known is None or known.client.engine is not engine:
            if known is not None:
                known.sender.shutdown()  # the communicator holds memory of the GPU
            self._connections[number] = self._connection(engine)
        connection = self._connections[number]
        connection.client.version = version
        connection.source.weights, connection.source.shapes = weights, self._shapes.of(weights)
        connection.sender.send_weights()

    def _connection(self, engine: EngineProcess) -> _Connection:
        from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        client, source = _Client(engine), _source(self._dtype)
        # For vLLM every trainer is the only one, since each has its own engines.
        info = NCCLTrainerInitInfo(
            master_address="127.0.0.1",
            master_port=_free_port(),
            world_size=1 + self._gpus,
            rank=0,
        )
        sender = WeightTransferTrainerFactory.trainer_init(info, client=client, source=source)
        client.abort = sender.shutdown
        return _Connection(client, source, sender)


@dataclass(frozen=True, slots=True)
class _Connection:
    """The connection of the trainer with an engine."""

    client: _Client
    source: Any
    sender: Any


class _Client:
    """The receiving side, with the interface that vLLM's sender requires.

    `abort` ends the sender's broadcast. The sender waits for both, the broadcast on the GPU and the
    engine's answer; an engine that dies in between would leave a broadcast that nobody receives,
    behind which the next one to its replacement would wait for ever.
    """

    def __init__(self, engine: EngineProcess):
        self.engine, self.version = engine, ""
        self.abort: Callable[[], None] = lambda: None

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self.engine.call("init_weight_transfer", init_info).result()

    def start_weight_update(self) -> None:
        self.engine.call("start_weight_update").result()

    def update_weights(self, update_info: Any) -> None:
        try:
            self.engine.call("update_weights", update_info).result()
        except BaseException:
            self.abort()
            raise

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self.engine.call("finish_weight_update", self.version).result()


def _source(dtype: torch.dtype) -> Any:
    """A vLLM weight source that reads the `PolicyWeights` in its attribute `weights`, of which
    `shapes` are the names and shapes."""
    from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource

    class Source(WeightSource):  # type: ignore[misc]
        weights: PolicyWeights
        shapes: Shapes

        def metadata(self) -> list[Any]:
            return [ParamMeta(name, dtype, shape) for name, shape in self.shapes]

        def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
            for name, tensor in self.weights.tensors():
                yield name, tensor.detach().to(dtype).contiguous()

    return Source()


def _chunks(weights: PolicyWeights, dtype: torch.dtype) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Contiguous tensors in `dtype`, in chunks of about `_CHUNK_BYTES`."""
    chunk: list[tuple[str, torch.Tensor]] = []
    size = 0
    for name, tensor in weights.tensors():
        chunk.append((name, tensor.detach().to(dtype).contiguous()))
        size += tensor.numel() * dtype.itemsize
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _handle(tensor: torch.Tensor) -> Any:
    """A handle with which another process can open this tensor's memory."""
    return reduce_tensor(tensor)[1]  # type: ignore[no-untyped-call]


def _description(chunk: list[tuple[str, torch.Tensor]]) -> dict[str, Any]:
    return {
        "names": [name for name, _ in chunk],
        "dtype_names": [str(tensor.dtype).removeprefix("torch.") for _, tensor in chunk],
        "shapes": [list(tensor.shape) for _, tensor in chunk],
    }


@contextmanager
def _thread() -> Iterator[ThreadPoolExecutor]:
    """A thread for sending in the background while the trainer watches; it is not joined if it
    hangs."""
    # The thread and vLLM send on other streams, which do not wait for the step that writes the
    # weights, nor for gathering them.
    torch.cuda.current_stream().synchronize()
    # The current GPU is a property of each thread.
    device = torch.cuda.current_device()
    thread = ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,))
    try:
        yield thread
    finally:
        thread.shutdown(wait=False)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
