"""An engine process as a Ray actor on the trainer's node; the only module here that uses Ray.

The actor reserves no resources. Its cores and GPUs belong to the reservation of its training
worker, so it neither waits for resources nor takes those of another trial, and it ends with that
worker.
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

    environment: environment variables of the process.
    """

    def __init__(self, actor_class: type, log: Path, environment: Mapping[str, str]):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._log = log
        # Anonymous memory, freed when both processes have ended.
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
        result: Future[Any] = getattr(self._actor, method).remote(*arguments).future()
        return result

    def heartbeat(self) -> int:
        """See `EngineProcess`."""
        return int.from_bytes(os.pread(self._heartbeat, 8, 0), "little")

    def log_tail(self) -> str:
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
    """The GPUs that Ray assigned to this worker, named as in `CUDA_VISIBLE_DEVICES`."""
    import ray

    gpus: list[str] = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    return gpus


def memory_path(file: int) -> str:
    """A path by which another process of the same user can open an open file of this process."""
    return f"/proc/{os.getpid()}/fd/{file}"
