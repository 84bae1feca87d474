"""Number of trials that fit on a cluster at once, and reasons why one does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from conspo_study.config import AnyRun, FunctionConfig
from conspo_study.config.places import named_cluster
from conspo_study.machine import smallest_gpu_bytes
from conspo_study.records import StudyError
from conspo_study.text import counted

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Node:
    """CPU cores and GPUs of one machine."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Result of placing the workers of trials on nodes."""

    trials: int
    """Number of trials that fit at once; 0 if there are problems."""
    limit: str
    """The resource that limits it, for people."""
    problems: tuple[str, ...]


def place(run: AnyRun, nodes: Sequence[Node]) -> Placement:
    """Put whole workers, each with its rollout engines, on nodes; a trial's workers may be on
    different ones."""
    workers, cpus_each, gpus_each = run.train.workers, run.cpus_per_worker, run.gpus_per_worker
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    places = [_workers_on(node, run) for node in nodes]
    own = isinstance(run, FunctionConfig)
    engines = not isinstance(run, FunctionConfig) and run.rollout.engine == "vllm"
    few_workers = "lower workers" if own else "lower train.workers"
    fewer_cpus = (" or resources[CPU]" if own else " or train.cpus_per_worker") + (
        ", or rollout.vllm_engines or rollout.vllm_cpus" if engines else ""
    )
    no_gpus = f"train on CPUs with {'resources[GPU]' if own else 'train.gpus_per_worker'}=0" + (
        ", rollout.vllm_gpus=0 and rollout.vllm_colocated=false" if engines else ""
    )
    fewer_gpus = ", rollout.vllm_engines or rollout.vllm_gpus" if engines else ""
    problems = []
    if workers * cpus_each > cpus:
        problems.append(
            f"a trial needs {counted(workers * cpus_each, 'CPU core')} "
            f"({counted(workers, 'worker')} x {cpus_each}), "
            f"there are {cpus}: {few_workers}{fewer_cpus}"
        )
    if workers * gpus_each > gpus:
        problems.append(
            f"a trial needs {counted(workers * gpus_each, 'GPU')}, there are {gpus}: "
            f"{few_workers}{fewer_gpus}, or {no_gpus}"
        )
    if not problems and not any(places):
        need = _offer(cpus_each, gpus_each, bool(gpus_each))
        have = ", ".join(sorted({_offer(n.cpus, n.gpus, bool(gpus_each)) for n in nodes}))
        problems.append(
            f"a worker needs {need} on one node, the nodes have {have}: "
            f"lower{fewer_cpus.removeprefix(' or')}"
        )
    elif not problems and sum(places) < workers:
        problems.append(
            f"a trial has {counted(workers, 'worker')} of {counted(cpus_each, 'CPU core')}, the "
            f"nodes have room for {sum(places)} of them: {few_workers}{fewer_cpus}"
        )
    scarce = "GPUs" if gpus_each and gpus * cpus_each <= cpus * gpus_each else "CPU cores"
    limit = f"{gpus if scarce == 'GPUs' else cpus} {scarce}"
    return Placement(0 if problems else sum(places) // workers, limit, tuple(problems))


def gpu_bytes(gib: float | None) -> int | None:
    """Bytes of the smallest GPU: of one of `gib` GiB, by default of those here; None if there are
    none, or if the study goes to a cluster. Raises StudyError for what is no size."""
    if gib is None:
        return None if named_cluster() else smallest_gpu_bytes()
    if not 1 <= gib < float("inf"):
        raise StudyError(f"--gpu-memory is {gib:g}: give the GiB of a GPU, such as 24, 40 or 80")
    return int(gib * 2**30)


def gpu_gib(gib: float | None) -> float | None:
    """The same in GiB."""
    found = gpu_bytes(gib)
    return None if found is None else found / 2**30


def _workers_on(node: Node, run: AnyRun) -> int:
    by_cpu = node.cpus // run.cpus_per_worker
    each = run.gpus_per_worker
    if not each:
        return by_cpu
    # Shares of one GPU are not put together to another: three of 0.3 fit on it, not ten on three.
    by_gpu = node.gpus * floor(1 / each + _ROUNDING) if each < 1 else node.gpus // each
    return min(by_cpu, int(by_gpu))


def _offer(cpus: int, gpus: float, of_gpus: bool) -> str:
    return counted(cpus, "CPU core") + (f" and {counted(gpus, 'GPU')}" if of_gpus else "")
