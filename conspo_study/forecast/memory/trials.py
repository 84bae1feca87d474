"""Memory of a study's trials together: which of them needs most, and what main memory holds."""

from __future__ import annotations

from collections.abc import Iterator

from conspo_study.config import RunConfig, flatten
from conspo_study.config.places import named_cluster
from conspo_study.definition import StudyDefinition
from conspo_study.definition.variants import variants
from conspo_study.forecast.memory.estimate import estimate_memory
from conspo_study.forecast.memory.items import IN_MEMORY, Memory
from conspo_study.machine import usable_memory
from conspo_study.text import counted, setting_text, size_text


def neediest_run(
    study: StudyDefinition, seeds: int, gpu_bytes: int | None
) -> tuple[RunConfig, Memory | None]:
    """The configuration of a trial that needs most memory, the base of several, and its memory."""
    needs = [(run, estimate_memory(run, seeds, gpu_bytes)) for run in variants(study)]
    return max(needs, key=lambda need: need[1].bytes if need[1] else 0.0)


def neediest_notes(base: RunConfig, neediest: RunConfig) -> Iterator[str]:
    """A note if trials with other settings than the base's need more memory."""
    before = flatten(base)
    changed = [
        f"{path}={setting_text(value)}"
        for path, value in flatten(neediest).items()
        if before.get(path) != value
    ]
    if changed:
        yield f"the memory is that of trials with {', '.join(changed)}, which need most"


def host_problems(memory: Memory | None, workers: int, gpus: int) -> Iterator[str]:
    """A problem if one trial's workers on GPUs need more main memory than this machine has."""
    if memory is None or not memory.host or not gpus or named_cluster():
        return
    need, have = workers * memory.host_bytes, usable_memory()
    if need > have:
        largest = max(memory.host, key=lambda item: item.bytes)
        yield (
            f"a trial of {counted(workers, 'worker')} needs about {size_text(need)} of main memory "
            f"while it starts ({size_text(largest.bytes)} each for {largest.name}), and this "
            f"process may use {size_text(have)}: lower train.workers, or use a machine with more"
        )


def memory_notes(memory: Memory | None, workers: int, gpus: int) -> Iterator[str]:
    """A note if `workers` workers may need more main memory than this machine has."""
    if memory is None or named_cluster() or (memory.where != IN_MEMORY and not gpus):
        return
    alone = memory.where == IN_MEMORY
    need, have = workers * (memory.bytes if alone else memory.host_bytes), usable_memory()
    if need > have:
        less = "lower rollout.batch_rows" if alone else "lower train.workers"
        yield (
            f"{counted(workers, 'worker')} at a time may need {size_text(need)} of memory, and "
            f"this process may use {size_text(have)}: {less}, or use fewer cores (taskset)"
        )
