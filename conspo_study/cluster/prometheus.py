"""Progress of a running study as metrics of Ray, which Prometheus scrapes from the driver's node.

Ray forgets the metrics of a process that has ended, and of one that has not repeated them for some
seconds. A trial's workers end with the trial; the driver lives as long as the study, and its log
has every report. So the driver repeats what the log says: no actor is needed, and training, which
takes no part in it, cannot wait for it. Ray puts `ray_` before every name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from conspo_study.definition import StudyDefinition
from conspo_study.processes.background import beside
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import StudyTable
from conspo_study.results.trial_row import TrialRow, settings_of
from conspo_study.text import one_line, title

REPEAT_S = 5.0
"""Time between two repetitions: Ray collects every ten seconds and forgets after twenty."""
_END_S = 5.0
RECENT = 30
"""Number of ended trials, the latest, that are still exported: a scrape must not grow with the
study, and Prometheus keeps what it has scraped before."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A gauge."""

    name: str
    tags: tuple[str, ...]
    help: str
    """Meaning and unit, as Prometheus shows them."""


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
    "conspo_evaluation", (*_SEED, "metric"), "Latest value of the metrics that the study selects by"
)
_STAGE = Metric(
    "conspo_step_seconds", (*_SEED, "stage"), "Seconds of the latest training step, by stage"
)
_STEP = Metric("conspo_step", ("study", "trial"), "Latest training step that was reported")
_INFO = Metric("conspo_trial_info", ("study", "trial", "settings"), "1, with the trial's settings")
_TRIALS = Metric("conspo_trials", ("study", "state"), "Search trials, by state")
_INCIDENTS = Metric(
    "conspo_incidents", ("study", "type"), "Failures that the study and its trials recovered from"
)
METRICS = (*_TRAINING.values(), _EVALUATION, _STAGE, _STEP, _INFO, _TRIALS, _INCIDENTS)
"""Everything that is exported."""


def samples(study: str, aims: Sequence[str], table: StudyTable) -> Iterator[Sample]:
    """Present values of the study, of running trials, and of the latest that have ended.

    aims: the metrics that the study selects by. A trial has no sample of what it has not measured.
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
        of_seed = {**tags, "seed": str(seed)}
        for name, value in measured.items():
            if name in _TRAINING:
                yield Sample(_TRAINING[name].name, of_seed, value)
            if name in aims:
                yield Sample(_EVALUATION.name, {**of_seed, "metric": name}, value)
            if name.startswith("time/"):
                stage = name.removeprefix("time/").removesuffix("_s")
                yield Sample(_STAGE.name, {**of_seed, "stage": stage}, value)


@contextmanager
def exporting(
    study: StudyDefinition, log: ResultsLog, tell: Callable[[str], None]
) -> Iterator[None]:
    """Export what `log` holds inside the block. Ray must be initialised.

    A failure ends the export and not the study: `tell` gets one sentence.
    """

    def export(over: threading.Event) -> None:
        try:
            _repeat(study, log, over)
        except Exception as error:
            tell(f"metrics for Prometheus have ended: {one_line(error)}. The study is not affected")

    with beside(export, _END_S):
        yield


def _repeat(study: StudyDefinition, log: ResultsLog, over: threading.Event) -> None:
    from ray.util.metrics import Gauge

    gauges = {metric.name: Gauge(metric.name, metric.help, metric.tags) for metric in METRICS}
    aims = [study.metric, *(aim.metric for aim in study.also)]
    while True:
        for sample in samples(study.name, aims, log.table):
            gauges[sample.metric].set(sample.value, sample.tags)
        if over.wait(REPEAT_S):
            return
