"""The worker processes of a trial: none of an earlier attempt may live when others take over.

Ray asks a worker to end and gives its place to the next one. A worker that is frozen does not hear
it; should it thaw, two would write the same files. So each worker leaves its process id in the
trial's folder, and whoever starts others ends it first. It leaves its placement group, too: where
Ray ended a worker for want of memory, Ray Train keeps the group, in which nothing can run any more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from conspo_study.files import write_json_atomic
from conspo_study.processes.identity import kill, start_of
from conspo_study.results.names import INNER, worker_file, worker_files
from conspo_study.results.reading import stored_object

_TITLE = b"RayTrainWorker"
_KILL_S = 30.0


def enlist(folder: Path, rank: int) -> None:
    """Record this process as the trial's worker `rank`."""
    import ray

    context = ray.get_runtime_context()
    record = {
        "node": context.get_node_id(),
        "pid": os.getpid(),
        "start": start_of(os.getpid()),
        "placement_group": context.get_placement_group_id(),
    }
    write_json_atomic(worker_file(folder, rank), record, INNER)


def end_all(folder: Path) -> None:
    """End the recorded workers that still live, wherever they are, wait for that, and give back
    what was reserved for them."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    for path in worker_files(folder):
        record: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            record = stored_object(path)
        # On a node that is gone, or was part of another cluster, there is nothing to end.
        if record.get("node") in nodes:
            there = NodeAffinitySchedulingStrategy(record["node"], soft=False)
            task = ray.remote(num_cpus=0, max_retries=0)(end).options(
                scheduling_strategy=there, name=f"{folder.name} end of {path.stem}"
            )
            with suppress(RayError, GetTimeoutError):
                ray.get(task.remote(record["pid"], record["start"]), timeout=_KILL_S)
        _give_back(record.get("placement_group"))
        path.unlink(missing_ok=True)


def _give_back(group: object) -> None:
    """Remove the placement group of this id; nothing where it is gone, or of another study."""
    import ray
    from ray.util.placement_group import PlacementGroup, PlacementGroupID, remove_placement_group

    job = ray.get_runtime_context().get_job_id()
    if isinstance(group, str) and group.endswith(job):  # an id ends with that of its job
        with suppress(ValueError):
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))


def end(pid: int, start: int) -> None:
    """Kill the worker process `pid` of this machine that began at `start`, and wait for its end.

    A process that merely bears the number, or is no worker, is left alone.
    """
    with suppress(OSError):
        if _TITLE in Path(f"/proc/{pid}/cmdline").read_bytes():
            kill(pid, start, wait_s=_KILL_S / 2)
