"""A running study's progress as metrics of Ray, which Prometheus scrapes from the driver's node.

Ray forgets the metrics of a process that has ended, and of one that has not repeated them for some
seconds. A trial's workers end with the trial; the driver lives as long as the study, and its log
has every report. So the driver repeats what the log says: no actor is needed, and training, which
takes no part in it, cannot wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conspo_study.cluster.study_metrics import METRICS, samples
from conspo_study.definition import StudyDefinition
from conspo_study.results.log import ResultsLog
from conspo_study.text import one_line

REPEAT_S = 5.0
"""Between two repetitions: Ray collects every ten seconds and forgets after twenty."""
_END_S = 5.0


@contextmanager
def exporting(
    study: StudyDefinition, log: ResultsLog, tell: Callable[[str], None]
) -> Iterator[None]:
    """Export what `log` holds inside the block. Ray must be initialised.

    A failure ends the export and not the study: `tell` gets one line.
    """
    done = threading.Event()

    def export() -> None:
        try:
            _repeat(study, log, done)
        except Exception as error:
            reason = one_line(error)
            tell(f"no more metrics for Prometheus: {reason}; the study goes on")

    thread = threading.Thread(target=export, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_END_S)


def _repeat(study: StudyDefinition, log: ResultsLog, done: threading.Event) -> None:
    from ray.util.metrics import Gauge

    gauges = {metric.name: Gauge(metric.name, metric.help, metric.tags) for metric in METRICS}
    aims = [study.metric, *(aim.metric for aim in study.also)]
    while True:
        for sample in samples(study.name, aims, log.table):
            gauges[sample.metric].set(sample.value, sample.tags)
        if done.wait(REPEAT_S):
            return
