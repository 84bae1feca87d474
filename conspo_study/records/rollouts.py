"""Problems, rollouts, verdicts and groups, and the rows that are stored of them."""

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
    """The gold answer, as text that the verifier can parse; empty where the set has none."""
    level: str = ""
    """Difficulty label, empty when the set has none."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The other fields of the row as JSON values, for rewards that need more than an answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A response to a problem, to be rewarded."""

    problem: Problem
    prompt: str
    """What the policy was asked: the template with the problem in it; the user's turn of a chat."""
    response: str
    """Untrusted."""
    in_thought: bool = False
    """True if the prompt ends inside the model's thought, which the response has to close."""


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
    weights_version: int = 0
    """Optimiser steps that had been applied to the weights that drew the response."""


class Verdict(StrEnum):
    """What the verifier could say about a response; never a bare 0.0 for 'could not tell'."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """No final answer was found in the response."""
    UNPARSABLE = "unparsable"
    """An answer was found but is not mathematics that the verifier understands."""
    UNEVALUATED = "unevaluated"
    """The answer is an expression that still has to be computed, where a value was asked for, or
    an expression of the question handed back."""
    TIMEOUT = "timeout"
    """The check passed its deadline and its process was killed, or was not begun since it would."""
    KILLED = "killed"
    """The checking process died (memory cap, crash)."""
    GOLD_BAD = "gold_bad"
    """The gold answer itself cannot be parsed: the problem is at fault, not the response."""
    UNDECIDED = "undecided"
    """An own reward function returned None: it cannot say."""
    ERROR = "error"
    """An own reward function raised an error, or returned what is no finite number."""

    @property
    def decided(self) -> bool:
        """Whether the verdict may be used as a reward: the verifier came to a conclusion."""
        return self in _DECIDED


_DECIDED = frozenset(
    {
        Verdict.CORRECT,
        Verdict.WRONG,
        Verdict.NO_ANSWER,
        Verdict.UNPARSABLE,
        Verdict.UNEVALUATED,
    }
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the answer it was reached on, and the reward."""

    verdict: Verdict
    answer: str = ""
    """The extracted final answer, shortened; empty when there is none. Untrusted."""
    graded: float | None = None
    """The reward where it is more than the verdict: of an own function, or with further rewards
    added. None: 1 for a correct response, 0 for any other."""
    key: str = ""
    """Canonical form of the answer: answers with equal keys are equal. Empty where unknown."""

    @property
    def reward(self) -> float:
        """What advantages read, before any shaping; without meaning for an undecided verdict."""
        return float(self.verdict is Verdict.CORRECT) if self.graded is None else self.graded


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

    @property
    def rewards(self) -> tuple[float, ...]:
        """Per rollout: its reward, before any shaping."""
        return tuple(j.reward for j in self.judgements)


GREEDY = -1
"""`EvalRow.sample` of the greedy response."""


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One evaluated response; the unit from which every evaluation metric is computed."""

    seed: int
    step: int
    problem_set: str
    problem_id: str
    sample: int
    """0..k-1 for sampled responses, `GREEDY` for the greedy one."""
    verdict: str
    answer: str
    response_tokens: int
    status: str
    reward: float | None = None
    """The reward where it is more than the verdict; see `Judgement.graded`."""
    vote: int | None = None
    """Number of the answer's class among the problem's samples: equal answers share one. Stored for
    the problems at which it tells more than the texts of the answers; None for no answer."""
    response: str | None = None
    """The response, cut by `kept_texts.cut`; None where its file had no more room, and in files of
    earlier versions. No metric depends on it. Untrusted: escape before showing."""


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem that a trial was evaluated on, stored once for all of its evaluations."""

    problem_set: str
    problem_id: str
    prompt: str | None
    """As the policy saw it, special tokens included, cut by `kept_texts.cut`. Untrusted."""
    gold: str | None
    """The gold answer, cut likewise; None where the set has none. Untrusted."""


@dataclass(frozen=True, slots=True)
class CreditRow:
    """How strongly an optimiser step pushed a rollout: a point of the ConSPO paper's figure 2."""

    update: int
    """Optimiser step on the rollout batch, from 0."""
    group: int
    """Group of the rollout batch, from 0; a problem may occur in two of them."""
    problem_id: str
    rollout: int
    """0..G-1 inside the group."""
    correct: bool
    score: float
    """s, the mean log-probability of the response's tokens at that step."""
    credit: float
    """dJ/ds times the number of groups: positive pushes the response up."""
    response_tokens: int


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One response of a training step, kept for reading."""

    seed: int
    step: int
    group: int
    """Place of the prompt among those of the step, from 0; a problem may occur at two of them."""
    rollout: int
    """0..G-1 inside the group."""
    problem_id: str
    prompt: str
    """The whole prompt as the policy saw it, special tokens included."""
    response: str
    """Untrusted: escape before showing."""
    verdict: str
    answer: str
    """The extracted final answer, shortened; empty when there is none. Untrusted."""
    score: float | None
    """s, the mean log-probability of the response's tokens: the trainer's at the first optimiser
    step on the group, or the sampler's for a response that was not trained on."""
    credit: float | None
    """Of that optimiser step, as in `CreditRow`; None for a response that was not trained on."""
    advantage: float | None
    """What the objective multiplied the response's ratios with; None without that, and for an
    objective that has no advantages."""
    response_tokens: int
    status: str
    reward: float | None = None
    """As in `EvalRow`."""
    gold: str | None = None
    """The gold answer, cut by `kept_texts.cut`; None where the set has none, and in files of
    earlier versions. Untrusted."""
