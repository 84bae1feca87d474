"""Events of studies and trials, as the results log stores them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """Kind of an event of a study or a trial."""

    STUDY_STARTED = "study_started"
    SUGGESTED = "suggested"
    STARTED = "started"
    REPORTED = "reported"
    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"
    INCIDENT = "incident"
    """A failure that was absorbed, such as a worker that was restarted; counted, never hidden."""
    STUDY_FINISHED = "study_finished"


class TrialRole(StrEnum):
    """Purpose of a trial."""

    SEARCH = "search"
    """To find the best setting; what it measures is what the winner is selected by."""
    CONFIRMATION = "confirmation"
    """To measure a chosen setting again, on seeds and problems that did not choose it."""


class TrialState(StrEnum):
    """State of a trial, derived from its last event."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True if the trial will not run again."""
        return self in (TrialState.FINISHED, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True, slots=True)
class TrialEvent:
    """One line of the results log, without the sequence number and checksum that the log adds."""

    kind: EventKind
    trial: str = ""
    """Trial id such as `t0003`; empty for events of the whole study."""
    data: dict[str, Any] = field(default_factory=dict)
    """JSON-serialisable payload."""


class StudyError(RuntimeError):
    """A study cannot start, with the reason and what to do; no trial was run."""
