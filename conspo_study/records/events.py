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
    """At its last step; `collapsed` names the seeds, not all of them, that collapsed before."""
    COLLAPSED = "collapsed"
    """At its last step, which no seed was trained to: all of them had collapsed."""
    PAUSED = "paused"
    """At a rung of successive halving: it goes on from its checkpoint if it is among the best."""
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
    PAUSED = "paused"
    """At a rung of successive halving; it runs again, or is pruned there."""
    FINISHED = "finished"
    COLLAPSED = "collapsed"
    """All of its seeds collapsed; it has values as a finished one has."""
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True if the trial will not run again."""
        return self.has_result or self in (TrialState.PRUNED, TrialState.FAILED)

    @property
    def has_result(self) -> bool:
        """True if the trial came to its last step: its values compare with those of others."""
        return self in (TrialState.FINISHED, TrialState.COLLAPSED)


@dataclass(frozen=True, slots=True)
class Collapse:
    """The end of a seed's training before its last step by training itself: gradients or logits
    that are non-finite, or answers that leave nothing to learn from."""

    step: int
    """Training step, from 1, at which it stopped."""
    cause: str
    """Untrusted text."""


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
