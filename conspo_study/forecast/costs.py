"""Time and disk space that a study's trials take, as far as they are known before they run."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from conspo_study.config import EvaluationConfig, PolicyConfig, RunConfig
from conspo_study.data.benchmarks import NAMED
from conspo_study.definition import StudyDefinition, confirmation_batch, search_batch
from conspo_study.forecast.known_models import KNOWN_MODELS
from conspo_study.policy.models import EMBEDDED, local_folder
from conspo_study.policy.safetensors_header import read_header
from conspo_study.untrusted import open_regular

EMBEDDED_TOKENS_PER_S = 10_000
"""Generated tokens per second of training that one core manages with the embedded model."""
EMBEDDED_RESPONSE_TOKENS = 15
"""Mean response length of the embedded model over a run."""
EMBEDDED_PARAMETERS = 110_784
TRIAL_OVERHEAD_S = 5.0
"""Seconds that a trial spends outside of its steps: processes, imports, collectives."""
CHECKPOINTS_RUNNING = 3
"""Most checkpoints of a running trial: two complete ones, and the next being written. An ended
trial keeps its last."""

_BYTES_PER_PARAMETER = 3 * 4
"""Weights and AdamW's two averages, in float32."""
_BYTES_PER_EVALUATED = 4
"""Size of a row of a compressed evaluation file."""
_BYTES_PER_FILE = 4_000
"""Size of its schema and footer."""
_BYTES_PER_STEP = 1_100
"""Size of a row of steps.jsonl."""
_BYTES_PER_KEPT_TOKEN = 2
"""Size of a token of a stored response, compressed."""


def study_seconds(study: StudyDefinition, slots: int) -> float | None:
    """Wall time in seconds with `slots` trials at a time and no early stopping; None for models of
    unknown speed."""
    search, again = search_batch(study), confirmation_batch(study)
    each = trial_seconds(search.run, search.seeds)
    if each is None:
        return None
    anchors = len(study.anchors)
    times = [each] * study.trials
    searched = range(anchors, study.trials)
    waits_for = [0] * anchors
    waits_for += [max(0, n - study.lag) if study.waits_for_results else 0 for n in searched]
    if again is not None:
        times += [trial_seconds(again.run, again.seeds) or 0.0] * again.trials
        # Baselines are confirmed as soon as there is room, the winner when it is known.
        waits_for += [0] * (again.trials - 1) + [study.trials]
    return max(finish_times(times, [0.0] * slots, waits_for))


def study_bytes(study: StudyDefinition, concurrent: int, budget: int) -> int | None:
    """Bytes of checkpoints and rows of all trials; None for models of unknown size.

    concurrent: trials at a time. budget: most bytes of checkpoints of ended trials.
    """
    search, again = search_batch(study), confirmation_batch(study)
    batches = [search, *([again] if again else [])]
    sizes = [checkpoint_bytes(batch.run, batch.seeds) for batch in batches]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    rows = sum(batch.trials * rows_bytes(batch.run, batch.seeds) for batch in batches)
    ended = sum(batch.trials * size for batch, size in zip(batches, known, strict=True))
    # Checkpoints of the baselines, the winner and its confirmation stay whatever the budget.
    safe = min(len(study.anchors) + 1, study.trials) * known[0] + sum(known[1:])
    # The last trials to run are counted among those that have ended.
    running = concurrent * (CHECKPOINTS_RUNNING - 1) * max(known)
    return rows + max(safe, min(ended, budget)) + running


def evaluated_per_run(run: RunConfig) -> int:
    """Number of responses of all evaluations of one seed, the one before training included."""
    settings = run.evaluation
    ends, between = _evaluations(run)
    times = {name: ends + between * (name in settings.tracked_sets) for name in settings.names}
    return sum(
        count * problems_of(name, settings) * (settings.samples_for(name) + int(settings.greedy))
        for name, count in times.items()
    )


def problems_of(name: str, settings: EvaluationConfig) -> int:
    """Number of problems of a set that are evaluated; an upper bound for a file of unknown size."""
    known = NAMED.get(settings.source(name))
    rows = settings.problems_per_set if known is None else known.rows
    return min(rows, settings.problems_per_set)


def trial_seconds(run: RunConfig, seeds: int) -> float | None:
    """Wall time in seconds of a trial that is not stopped; None for models and engines of unknown
    speed."""
    if run.policy.model != EMBEDDED or run.rollout.engine != "transformers":
        return None
    rollouts = run.rollout.prompts_per_step * run.rollout.group_size
    trained = run.train.steps * rollouts * EMBEDDED_RESPONSE_TOKENS / EMBEDDED_TOKENS_PER_S
    # Generation alone is about three times as fast as a whole training step.
    tested = evaluated_per_run(run) * EMBEDDED_RESPONSE_TOKENS / (3 * EMBEDDED_TOKENS_PER_S)
    return TRIAL_OVERHEAD_S + seeds * (trained + tested)


def checkpoint_bytes(run: RunConfig, seeds: int) -> int | None:
    """Bytes of one checkpoint of a trial; None if the model's size cannot be read."""
    parameters = trained_parameters(run.policy)
    return None if parameters is None else seeds * parameters * _BYTES_PER_PARAMETER


def parameter_count(policy: PolicyConfig) -> int | None:
    """Number of parameters of a model; None if it is unknown and not on this machine yet, or cannot
    be read."""
    if policy.model == EMBEDDED:
        return EMBEDDED_PARAMETERS
    total = sum(map(math.prod, _shapes_of(policy).values()))
    known = KNOWN_MODELS.get(policy.model)
    return total or (known.parameters if known else None)


def trained_parameters(policy: PolicyConfig) -> int | None:
    """Number of parameters that training changes; None if those of the model are unknown."""
    if not policy.lora_rank:
        return parameter_count(policy)
    # For each adapted matrix [out, in]: rank x in and out x rank.
    shapes, known = _shapes_of(policy), KNOWN_MODELS.get(policy.model)
    if not shapes and known is not None:
        shapes = dict(known.matrices())
    adapted = [sum(shape) for name, shape in shapes.items() if _is_adapted(name, shape, policy)]
    return policy.lora_rank * sum(adapted) or None


def rows_bytes(run: RunConfig, seeds: int) -> int:
    """Bytes of a trial's evaluation rows, step rows and stored responses."""
    files = sum(_evaluations(run))
    evaluated = evaluated_per_run(run) * _BYTES_PER_EVALUATED + files * _BYTES_PER_FILE
    responses = run.train.store_rollouts_groups * run.rollout.group_size
    kept = responses * run.rollout.max_new_tokens * _BYTES_PER_KEPT_TOKEN + _BYTES_PER_FILE
    most = int(run.train.store_rollouts_mb * 1e6)
    rows = seeds * (evaluated + run.train.steps * _BYTES_PER_STEP)
    return rows + min(most, seeds * run.rollout_stores * kept)


def finish_times(
    seconds: Sequence[float], free_at: Sequence[float], waits_for: Sequence[int]
) -> list[float]:
    """Times, in seconds, at which the trials of a queue end.

    seconds: running time of each. free_at: time at which each slot is free. waits_for: by trial,
    the number of first trials of the queue that must have ended before it starts. Trials start in
    order.
    """
    slots = list(free_at)
    heapq.heapify(slots)
    ends: list[float] = []
    started = 0.0
    for length, first in zip(seconds, waits_for, strict=True):
        started = max(started, heapq.heappop(slots), max(ends[:first], default=0.0))
        ends.append(started + length)
        heapq.heappush(slots, ends[-1])
    return ends


def _evaluations(run: RunConfig) -> tuple[int, int]:
    """Number of evaluations of all sets, and of those of the tracked sets alone."""
    return 2, -(-run.train.steps // run.evaluation.every) - 1


def _shapes_of(policy: PolicyConfig) -> dict[str, list[int]]:
    """Names and shapes of the weights of a model on this machine; empty if there is none."""
    folder = local_folder(policy)
    try:
        return dict(_shapes(folder)) if folder is not None else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _shapes(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of a model's weights, from the headers of its safetensors files."""
    for path in folder.glob("*.safetensors"):
        with open_regular(path, None) as file:
            tensors = read_header(file).tensors
        yield from ((name, tensor["shape"]) for name, tensor in tensors.items())


def _is_adapted(name: str, shape: Sequence[int], policy: PolicyConfig) -> bool:
    """True for a weight that gets an adapter: a matrix of a layer, not an embedding or the head."""
    layer = name.removesuffix(".weight").rpartition(".")[2]
    everything = policy.lora_targets == ("all-linear",)
    return len(shape) == 2 and ((everything and ".layers." in name) or layer in policy.lora_targets)
