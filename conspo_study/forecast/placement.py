"""How many trials fit on a cluster at once, and why one does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conspo_study.config import RunConfig


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine offers to workers."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the workers of trials can go."""

    trials: int
    """Trials that fit at once; 0 when `problems` says why none does."""
    limit: str
    """What there is too little of for one more, for people."""
    problems: tuple[str, ...]


def place(run: RunConfig, nodes: Sequence[Node]) -> Placement:
    """Put whole workers, each with its rollout engines, on nodes; a trial's workers may be on
    different ones."""
    workers, cpus_each, gpus_each = run.train.workers, run.cpus_per_worker, run.gpus_per_worker
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    places = [_workers_on(node, run) for node in nodes]
    engines = run.rollout.engine == "vllm"
    fewer_cpus = " or train.cpus_per_worker" + (
        ", or rollout.vllm_engines or rollout.vllm_cpus" if engines else ""
    )
    no_gpus = "train on CPUs with train.gpus_per_worker=0" + (
        ", rollout.vllm_gpus=0 and rollout.vllm_colocated=false" if engines else ""
    )
    fewer_gpus = ", rollout.vllm_engines or rollout.vllm_gpus" if engines else ""
    problems = []
    if workers * cpus_each > cpus:
        problems.append(
            f"a trial needs {workers * cpus_each} CPU cores ({workers} workers x {cpus_each}), "
            f"there are {cpus}: lower train.workers{fewer_cpus}"
        )
    if workers * gpus_each > gpus:
        problems.append(
            f"a trial needs {workers * gpus_each} GPUs, there are {gpus}: lower train.workers"
            f"{fewer_gpus}, or {no_gpus}"
        )
    if not problems and not any(places):
        need = f"{cpus_each} CPU cores" + (f" and {gpus_each} GPU" if gpus_each else "")
        have = ", ".join(sorted({_offer(node, bool(gpus_each)) for node in nodes}))
        problems.append(
            f"a worker needs {need} on one node, the nodes have {have}: "
            f"lower{fewer_cpus.removeprefix(' or')}"
        )
    elif not problems and sum(places) < workers:
        problems.append(
            f"a trial has {workers} workers of {cpus_each} CPU cores, the nodes have room for "
            f"{sum(places)} of them: lower train.workers{fewer_cpus}"
        )
    scarce = "GPUs" if gpus_each and gpus * cpus_each <= cpus * gpus_each else "CPU cores"
    limit = f"{gpus if scarce == 'GPUs' else cpus} {scarce}"
    return Placement(0 if problems else sum(places) // workers, limit, tuple(problems))


def _workers_on(node: Node, run: RunConfig) -> int:
    by_cpu = node.cpus // run.cpus_per_worker
    each = run.gpus_per_worker
    return min(by_cpu, node.gpus // each) if each else by_cpu


def _offer(node: Node, gpus: bool) -> str:
    return f"{node.cpus} CPU cores" + (f" and {node.gpus} GPUs" if gpus else "")
