"""Time and disk space that a study's trials take, as far as they are known before they run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from conspo_study.config import PolicyConfig, RunConfig
from conspo_study.definition import StudyDefinition, confirmation_batch, search_batch
from conspo_study.definition.batches import Batch
from conspo_study.forecast.gpu_hours import run_cost
from conspo_study.forecast.measured import Measured
from conspo_study.forecast.responses import (
    MEAN_LENGTH,
    PROMPT_TOKENS,
    evaluated_per_run,
    evaluation_steps,
    problems_of,
)
from conspo_study.forecast.shapes import parameter_count, trained_parameters
from conspo_study.policy.models import EMBEDDED, local_folder
from conspo_study.records import LONGEST_TEXT, MOST_TEXT

EMBEDDED_TOKENS_PER_S = 10_000
"""Generated tokens per second of training that one core manages with the embedded model."""
EMBEDDED_RESPONSE_TOKENS = 15
"""Mean response length of the embedded model over a run."""
TRIAL_OVERHEAD_S = 5.0
"""Seconds that a trial spends outside of its steps: processes, imports, collectives."""
WARM_START_STEP_S = 0.05
"""Seconds of a step of the embedded model's warm start on one core."""
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


def study_seconds(
    study: StudyDefinition,
    slots: int,
    gpu_bytes: int | None = None,
    measured: Measured | None = None,
) -> float | None:
    """Wall time in seconds with `slots` trials at a time and no early stopping; None for models of
    unknown speed. gpu_bytes: the size of a GPU, which stands for its speed. measured: what is known
    instead."""
    search, again = search_batch(study), confirmation_batch(study)

    def seconds(batch: Batch) -> float | None:
        if measured is not None:
            return measured.trial_seconds(batch.built_in, batch.seeds)
        return trial_seconds(batch.built_in, batch.seeds, gpu_bytes)

    each = seconds(search)
    if each is None:
        return None
    anchors = len(study.anchors)
    times = [each] * study.trials
    searched = range(anchors, study.trials)
    waits_for = [0] * anchors
    waits_for += [_waits_for(study, n) for n in searched]
    if again is not None:
        times += [seconds(again) or 0.0] * again.trials
        # Baselines are confirmed as soon as there is room, the winner when it is known.
        waits_for += [0] * (again.trials - 1) + [study.trials]
    return max(finish_times(times, [0.0] * slots, waits_for)) + warm_start_seconds(study)


def _waits_for(study: StudyDefinition, number: int) -> int:
    """How many trials have to have ended before a searched one begins."""
    if study.halving is not None:
        before = (number - len(study.anchors)) // study.halving.bracket * study.halving.bracket
        return len(study.anchors) + before if before else 0
    return max(0, number - study.lag) if study.waits_for_results else 0


def warm_start_seconds(study: StudyDefinition) -> float:
    """Time of the warm starts that come before all trials, where every seed has one of its own and
    none is cached; 0 for the one that they share, which mostly comes with the package."""
    policy = study.built_in.policy
    if policy.warm_start_seed != "seed":
        return 0.0
    made = set(study.seeds) | set(study.confirm.seeds if study.confirm else ())
    shipped = PolicyConfig()
    if policy.warm_start_steps == shipped.warm_start_steps:
        made -= {shipped.warm_start_seed}
    return len(made) * policy.warm_start_steps * WARM_START_STEP_S


def study_bytes(study: StudyDefinition, concurrent: int, budget: int) -> int | None:
    """Bytes of checkpoints and rows of all trials; None for models of unknown size.

    concurrent: trials at a time. budget: most bytes of checkpoints of ended trials.
    """
    search, again = search_batch(study), confirmation_batch(study)
    batches = [search, *([again] if again else [])]
    sizes = [checkpoint_bytes(batch.built_in, batch.seeds) for batch in batches]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    rows = sum(batch.trials * rows_bytes(batch.built_in, batch.seeds) for batch in batches)
    ended = sum(batch.trials * size for batch, size in zip(batches, known, strict=True))
    # Checkpoints of the baselines, the winner and its confirmation stay whatever the budget.
    safe = min(len(study.anchors) + 1, study.trials) * known[0] + sum(known[1:])
    # The last trials to run are counted among those that have ended.
    waiting = study.halving.bracket if study.halving is not None else 0
    running = max(concurrent, waiting) * (CHECKPOINTS_RUNNING - 1) * max(known)
    return rows + max(safe, min(ended, budget)) + running


def trial_seconds(run: RunConfig, seeds: int, gpu_bytes: int | None = None) -> float | None:
    """Wall time in seconds of a trial that is not stopped; None for models and engines of unknown
    speed."""
    if (cost := run_cost(run, gpu_bytes)) is not None:
        return cost.trial_seconds(seeds)
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


def fetched_bytes(policy: PolicyConfig) -> int | None:
    """Bytes that are fetched for a model, in 16 bits a weight as most are stored; 0 if it is here,
    None if its size is unknown."""
    if policy.model == EMBEDDED or local_folder(policy) is not None:
        return 0
    parameters = parameter_count(policy)
    return None if parameters is None else 2 * parameters


def rows_bytes(run: RunConfig, seeds: int) -> int:
    """Bytes of a trial's evaluation rows with their texts, step rows and stored responses."""
    settings, files, evaluated = run.evaluation, sum(evaluation_steps(run)), evaluated_per_run(run)
    limit = settings.max_new_tokens
    embedded = run.policy.model == EMBEDDED
    tokens = EMBEDDED_RESPONSE_TOKENS if embedded else MEAN_LENGTH.get(limit, limit)
    text = min(LONGEST_TEXT, tokens * _BYTES_PER_KEPT_TOKEN)
    evaluations = evaluated * _BYTES_PER_EVALUATED + files * _BYTES_PER_FILE
    evaluations += min(files * MOST_TEXT, evaluated * text)
    problems = sum(problems_of(name, settings, last=True) for name in settings.names)
    asked = min(MOST_TEXT, problems * PROMPT_TOKENS * _BYTES_PER_KEPT_TOKEN)
    responses = run.train.store_rollouts_groups * run.rollout.group_size
    kept = responses * run.rollout.max_new_tokens * _BYTES_PER_KEPT_TOKEN + _BYTES_PER_FILE
    most = int(run.train.store_rollouts_mb * 1e6)
    rows = seeds * (evaluations + run.train.steps * _BYTES_PER_STEP)
    return rows + asked + min(most, seeds * run.rollout_stores * kept)


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
