"""An engine process as a Ray actor on the trainer's node: the only part that knows Ray.

The actor takes nothing from Ray's accounts. Its cores and GPUs are part of what the training worker
has been given, so that it can neither wait for them nor take those of another trial, and it ends
with the worker that started it, however that ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

_TAIL_BYTES = 4096


class EngineActor:
    """An `EngineProcess` that runs `actor_class(log, heartbeat)` on this node.

    environment: variables that the process has from its start.
    """

    def __init__(self, actor_class: type, log: Path, environment: Mapping[str, str]):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._log = log
        # Memory without a name, which is gone when the last of the two processes is.
        self._heartbeat = os.memfd_create("heartbeat")
        os.ftruncate(self._heartbeat, 8)
        node = ray.get_runtime_context().get_node_id()
        self._actor = (
            ray.remote(actor_class)
            .options(
                num_cpus=0,
                num_gpus=0,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                runtime_env={"env_vars": dict(environment)},
            )
            .remote(str(log), memory_path(self._heartbeat))
        )

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """See `EngineProcess`."""
        answer: Future[Any] = getattr(self._actor, method).remote(*arguments).future()
        return answer

    def heartbeat(self) -> int:
        """See `EngineProcess`."""
        return int.from_bytes(os.pread(self._heartbeat, 8, 0), "little")

    def last_words(self) -> str:
        """See `EngineProcess`."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except OSError as error:
            return f"({error})"

    def end(self) -> None:
        """See `EngineProcess`."""
        import ray

        ray.kill(self._actor, no_restart=True)
        os.close(self._heartbeat)


def own_gpus() -> list[str]:
    """The GPUs that Ray has given to this worker, as `CUDA_VISIBLE_DEVICES` names them."""
    import ray

    found: list[str] = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    return found


def memory_path(file: int) -> str:
    """Where another process of this user finds an open file of this one."""
    return f"/proc/{os.getpid()}/fd/{file}"
