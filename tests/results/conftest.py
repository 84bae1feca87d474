from collections.abc import Callable
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

EVENTS = (
    TrialEvent(EventKind.STUDY_STARTED, data={"hash": "abc", "resumed": False}),
    TrialEvent(EventKind.SUGGESTED, "t0000", {"params": {"objective.tau": 0.1}, "seeds": [0, 1]}),
    TrialEvent(EventKind.STARTED, "t0000"),
    TrialEvent(EventKind.REPORTED, "t0000", {"step": 5, "steps": 10, "metrics": {"reward": 0.5}}),
    TrialEvent(EventKind.FAILED, "t0000", {"cause": 'said "nö"\n\x1b[31m', "step": 5}),
)


@pytest.fixture
def events() -> tuple[TrialEvent, ...]:
    return EVENTS


@pytest.fixture
def write(tmp_path: Path) -> Callable[[], Path]:
    def make(name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        with ResultsLog(path) as log:
            for event in EVENTS:
                log.append(event)
        return path

    return make
