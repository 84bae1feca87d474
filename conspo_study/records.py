"""The types that cross stage boundaries: plain, frozen, free of torch.

A stage package may import this module and `config`, and nothing else of the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its gold answer, as training and evaluation see it."""

    id: str
    """Unique inside its set; evaluation rows and seeds refer to it."""
    text: str
    """The question, before any prompt template is applied."""
    answer: str
    """The gold answer, as text that the verifier can parse."""
    level: str = ""
    """Difficulty label, empty when the set has none."""


class FinishStatus(StrEnum):
    """Why a rollout ended."""

    STOPPED = "stopped"
    """The model emitted its end-of-sequence token (which is the last token of the rollout)."""
    TRUNCATED = "truncated"
    """The response limit was reached first."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled response of T tokens."""

    tokens: tuple[int, ...]
    """Response token ids, T >= 1, the end-of-sequence token included when the model emitted it."""
    logprobs: tuple[float, ...]
    """Log-probability (nats) of each token under the sampling distribution, at its temperature."""
    status: FinishStatus
    text: str
    """The decoded response without special tokens. Untrusted: escape before showing."""


class Verdict(StrEnum):
    """What the verifier could say about a response; never a bare 0.0 for 'could not tell'."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """No final answer was found in the response."""
    UNPARSABLE = "unparsable"
    """An answer was found but is not mathematics that the verifier understands."""
    TIMEOUT = "timeout"
    """The check passed its deadline and its process was killed."""
    KILLED = "killed"
    """The checking process died (memory cap, crash)."""
    GOLD_BAD = "gold_bad"
    """The gold answer itself cannot be parsed: the problem is at fault, not the response."""

    @property
    def decided(self) -> bool:
        """Whether the verdict may be used as a reward: the verifier came to a conclusion."""
        return self not in (Verdict.TIMEOUT, Verdict.KILLED, Verdict.GOLD_BAD)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the answer it was reached on."""

    verdict: Verdict
    answer: str = ""
    """The extracted final answer, shortened; empty when there is none. Untrusted."""


@dataclass(frozen=True, slots=True)
class Group:
    """The rollouts of one prompt that carry a decided verdict."""

    problem_id: str
    prompt_tokens: tuple[int, ...]
    rollouts: tuple[Rollout, ...]
    judgements: tuple[Judgement, ...]

    @property
    def correct(self) -> tuple[bool, ...]:
        """Per rollout: was it verified correct?"""
        return tuple(j.verdict is Verdict.CORRECT for j in self.judgements)


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One evaluated response; the unit from which every evaluation metric is computed."""

    seed: int
    step: int
    problem_set: str
    problem_id: str
    sample: int
    """0..k-1 for sampled responses, -1 for the greedy one."""
    verdict: str
    answer: str
    response_tokens: int
    status: str


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean still in parts, so that parts from several workers or batches add up exactly."""

    total: float
    count: float

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float | None:
        """The mean, or None of nothing."""
        return self.total / self.count if self.count else None


def add_means(into: dict[str, Mean], found: Mapping[str, Mean]) -> None:
    """Add the parts of `found` to those of `into`, name by name."""
    for name, mean in found.items():
        into[name] = into[name] + mean if name in into else mean


class EventKind(StrEnum):
    """What can happen to a study or a trial; the alphabet of the results log."""

    STUDY_STARTED = "study_started"
    SUGGESTED = "suggested"
    STARTED = "started"
    REPORTED = "reported"
    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"
    STUDY_FINISHED = "study_finished"


class TrialState(StrEnum):
    """State of a trial, derived from its last event."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the trial will not run again."""
        return self in (TrialState.FINISHED, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True, slots=True)
class TrialEvent:
    """One line of the results log, without the sequence number and checksum that the log adds."""

    kind: EventKind
    trial: str = ""
    """Trial id such as `t0003`; empty for events of the whole study."""
    data: dict[str, Any] = field(default_factory=dict)
    """JSON-serialisable payload."""
