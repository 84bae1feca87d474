"""The work that both sides of `full_step.py` do, and what they tell of it.

It is read in two environments: it imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import re
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

_BOXED = re.compile(r"\\boxed\{(-?\d+)\}")


def last_boxed(text: str, answer: str) -> bool:
    """Whether the last boxed integer of a response is the answer."""
    found = _BOXED.findall(text)
    return bool(found) and found[-1] == answer


def parity(text: str, answer: str) -> bool:
    """Half of all texts, whatever they say: gives every group of a random model a contrast."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


RULES: dict[str, Callable[[str, str], bool]] = {"boxed": last_boxed, "parity": parity}
"""What a response is rewarded for."""


@dataclass(frozen=True, slots=True)
class Job:
    """Steps of GRPO without KL, one update each: AdamW, no warm-up, no weight decay."""

    model: str
    """Folder of the model and its tokenizer."""
    data: str
    """`chain`, or the file that the prompts come from."""
    rule: str
    """A key of `RULES`."""
    prompts_per_step: int
    group_size: int
    limit: int
    """Most tokens of a response."""
    warm_up: int
    """Steps before those that are measured."""
    steps: int
    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    temperature: float = 1.0
    template: str = "{problem}"
    """A prompt, with a place for the problem."""
    problems: Sequence[Sequence[str]] = ()
    """Prompts and answers in the order of training, those of all steps."""

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n", "utf-8")


@dataclass(slots=True)
class Told:
    """What one side tells of its steps, one value per step, those of the warm-up included."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Response tokens, stop tokens included."""
    rewards: list[float] = field(default_factory=list)
    """Mean of the step's responses."""
    trained: list[float] = field(default_factory=list)
    """Share of the groups that the gradient was computed of."""
    peak_mib: float = 0.0
    """Largest resident memory of the process, in MiB."""

    def line(self) -> str:
        """One line of JSON, the last that a side prints, with the memory that it took."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, output: str) -> Told:
        """From all that a side has printed."""
        return cls(**json.loads(output.strip().splitlines()[-1]))
