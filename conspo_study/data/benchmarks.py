"""Named problem sets: their contents, their file names, and their place on the Hugging Face hub.

A named set is read from a folder of JSON-lines files or fetched from the hub. The paper's
benchmarks are named like its columns, in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset of the hub, and the roles of its columns."""

    path: str
    split: str
    config: str | None = None
    problem: str = "problem"
    answer: str = "answer"
    id: str | None = None
    """Column of ids; None numbers the rows."""
    form: Literal["plain", "first", "after_hashes"] = "plain"
    """Form of the answer column: the answer itself, a list with the answer first, or a solution
    with the answer after its last `####`."""
    around: tuple[str, str] = ("", "")
    """Instructions before and after every problem, which are removed in favour of our prompt."""


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A problem set that a configuration may name."""

    name: str
    title: str
    rows: int
    """Expected number of problems."""
    files: tuple[str, ...]
    """Accepted names of its file in a folder; the first that exists is read."""
    hub: Hub
    samples: int | None = None
    """k used in the paper; None for sets that are not in the paper."""
    train: bool = False
    """True for a training set."""


def _sets(entries: Iterable[NamedSet]) -> Mapping[str, NamedSet]:
    return MappingProxyType({entry.name: entry for entry in entries})


_DAPO_BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of "
    "the form Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
_DAPO_AFTER = '\n\nRemember to put your answer on its own line after "Answer:".'

BENCHMARKS = _sets(
    [
        NamedSet(
            "aime24",
            "AIME 2024",
            30,
            ("aime24.jsonl", "aime2024.jsonl"),
            Hub("HuggingFaceH4/aime_2024", "train", id="id"),
            samples=32,
        ),
        NamedSet(
            "aime25",
            "AIME 2025",
            30,
            ("aime25.jsonl", "aime2025.jsonl"),
            Hub("MathArena/aime_2025", "train", id="problem_idx"),
            samples=32,
        ),
        NamedSet(
            "aime26",
            "AIME 2026",
            30,
            ("aime26.jsonl", "aime2026.jsonl"),
            Hub("MathArena/aime_2026", "train", id="problem_idx"),
            samples=32,
        ),
        NamedSet(
            "hmmt25",
            "HMMT February 2025",
            30,
            ("hmmt25.jsonl", "hmmt_feb_2025.jsonl"),
            Hub("MathArena/hmmt_feb_2025", "train", id="problem_idx"),
            samples=32,
        ),
        NamedSet(
            "amc",
            "AMC 12 of 2022 and 2023",
            83,
            ("amc.jsonl", "amc2022_2023_83.jsonl"),
            Hub("AI-MO/aimo-validation-amc", "train", id="id"),
            samples=32,
        ),
        NamedSet(
            "amc23",
            "AMC 12 of 2023, which `amc` contains",
            40,
            ("amc23.jsonl", "amc2023_40.jsonl"),
            Hub("math-ai/amc23", "test", problem="question", id="id"),
        ),
        NamedSet(
            "math500",
            "MATH500",
            500,
            ("math500.jsonl",),
            Hub("HuggingFaceH4/MATH-500", "test", id="unique_id"),
            samples=1,
        ),
        NamedSet(
            "olympiadbench",
            "OlympiadBench, open-ended English mathematics without images",
            674,
            ("olympiadbench.jsonl", "olympiadbench_oe_to_maths_en.jsonl"),
            Hub(
                "Hothan/OlympiadBench",
                "train",
                "OE_TO_maths_en_COMP",
                problem="question",
                answer="final_answer",
                id="id",
                form="first",
            ),
            samples=1,
        ),
        NamedSet(
            "gsm8k",
            "GSM8K, test",
            1319,
            ("gsm8k.jsonl", "gsm8k_test.jsonl"),
            Hub("openai/gsm8k", "test", "main", problem="question", form="after_hashes"),
        ),
        NamedSet(
            "minerva",
            "Minerva Math",
            272,
            ("minerva.jsonl", "minerva_math.jsonl"),
            Hub("math-ai/minervamath", "test", problem="question"),
        ),
    ]
)
"""Evaluation sets, by name."""

TRAINING_SETS = _sets(
    [
        NamedSet(
            "deepscaler",
            "DeepScaleR-Preview",
            40315,
            ("deepscaler.jsonl", "deepscaler_preview.jsonl"),
            Hub("agentica-org/DeepScaleR-Preview-Dataset", "train"),
            train=True,
        ),
        NamedSet(
            "dapo-math-17k",
            "DAPO-Math-17k, each problem once",
            17398,
            ("dapo-math-17k.jsonl", "dapo_math_17k.jsonl"),
            Hub(
                "open-r1/DAPO-Math-17k-Processed",
                "train",
                "all",
                problem="prompt",
                answer="solution",
                around=(_DAPO_BEFORE, _DAPO_AFTER),
            ),
            train=True,
        ),
        NamedSet(
            "gsm8k-train",
            "GSM8K, train",
            7473,
            ("gsm8k-train.jsonl", "gsm8k_train.jsonl"),
            Hub("openai/gsm8k", "train", "main", problem="question", form="after_hashes"),
            train=True,
        ),
        NamedSet(
            "math-train",
            "MATH, train",
            7500,
            ("math-train.jsonl", "math_train.jsonl"),
            Hub("zwhe99/MATH", "train", answer="expected_answer", id="id"),
            train=True,
        ),
    ]
)
"""Training sets, by name."""

NAMED = _sets([*BENCHMARKS.values(), *TRAINING_SETS.values()])
"""All named sets, by name."""

PAPER_SETS = ("aime24", "aime25", "aime26", "hmmt25", "math500", "amc", "olympiadbench")
"""The paper's benchmarks, in the order of its columns."""
