"""What a study shows to Prometheus: names, tags, and the values that its results log holds.

No Ray in here: `metrics_export` hands the samples on. Ray puts `ray_` before every name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conspo_study.results.table import StudyTable, TrialRow, settings_of
from conspo_study.text import title

RECENT = 30
"""Ended trials that are still shown, the latest ones: a scrape must not grow with the study, and
what was scraped before is Prometheus's to keep."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A gauge."""

    name: str
    tags: tuple[str, ...]
    help: str
    """What it measures and in which unit, as Prometheus shows it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The present value of one gauge under one set of tags."""

    metric: str
    tags: dict[str, str]
    value: float


_SEED = ("study", "trial", "seed")
_TRAINING = {
    # metric of a training step -> gauge
    "reward": Metric("conspo_reward", _SEED, "Share of correct responses in the latest step"),
    "score_gap": Metric(
        "conspo_score_gap", _SEED, "Mean score of correct less that of wrong responses, in nats"
    ),
    "valid_fraction": Metric(
        "conspo_valid_group_fraction", _SEED, "Share of groups with correct and wrong responses"
    ),
    "mismatch_kl": Metric(
        "conspo_sampler_mismatch_kl", _SEED, "KL of the sampler from the trainer, nats per token"
    ),
    "tokens_per_s": Metric(
        "conspo_tokens_per_second", _SEED, "Sampled tokens per second of a training step"
    ),
}
_EVALUATION = Metric(
    "conspo_evaluation", (*_SEED, "metric"), "Latest value of what the study selects by"
)
_STAGE = Metric(
    "conspo_step_seconds", (*_SEED, "stage"), "Seconds of the latest training step, by stage"
)
_STEP = Metric("conspo_step", ("study", "trial"), "Latest training step that was reported")
_INFO = Metric("conspo_trial_info", ("study", "trial", "settings"), "1, with the trial's settings")
_TRIALS = Metric("conspo_trials", ("study", "state"), "Search trials, by state")
_INCIDENTS = Metric(
    "conspo_incidents", ("study", "type"), "Failures that the study and its trials absorbed"
)
METRICS = (*_TRAINING.values(), _EVALUATION, _STAGE, _STEP, _INFO, _TRIALS, _INCIDENTS)
"""Everything that is exported."""


def samples(study: str, aims: Sequence[str], table: StudyTable) -> Iterator[Sample]:
    """The present values: of the study, of trials that run, and of the latest that have ended.

    aims: the metrics that the study selects by. What a trial has not measured has no sample.
    """
    for state, count in table.counts.items():
        yield Sample(_TRIALS.name, {"study": study, "state": state.value}, count)
    for kind, count in table.all_incidents.items():
        yield Sample(_INCIDENTS.name, {"study": study, "type": kind}, count)
    ended = [row.id for row in table.all_rows if row.state.ended]
    old = set(ended[:-RECENT])
    for row in table.all_rows:
        if row.id not in old:
            yield from _of_trial({"study": study, "trial": row.id}, aims, row)


def _of_trial(tags: dict[str, str], aims: Sequence[str], row: TrialRow) -> Iterator[Sample]:
    yield Sample(_INFO.name, {**tags, "settings": title(settings_of(row))}, 1)
    if row.seed_metrics:
        yield Sample(_STEP.name, tags, row.step)
    for seed, measured in row.seed_metrics.items():
        mine = {**tags, "seed": str(seed)}
        for name, value in measured.items():
            if name in _TRAINING:
                yield Sample(_TRAINING[name].name, mine, value)
            if name in aims:
                yield Sample(_EVALUATION.name, {**mine, "metric": name}, value)
            if name.startswith("time/"):
                stage = name.removeprefix("time/").removesuffix("_s")
                yield Sample(_STAGE.name, {**mine, "stage": stage}, value)
