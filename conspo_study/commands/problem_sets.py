"""Look at problem sets before a study does.

    conspo data check --data-dir problems
    conspo data check --data-dir problems --sets aime24 math500 --train deepscaler

For every set: its rows, those that a study would leave out, and gold answers that the verifier
cannot read, which a study drops at run time as `gold_bad`. Then the training problems that are also
evaluated. Nothing is fetched. Exit status 1 when a set cannot be used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from conspo_study.commands.typed_paths import TypedPath
from conspo_study.config import DataConfig, EvaluationConfig, RewardConfig
from conspo_study.data.benchmarks import NAMED
from conspo_study.data.sources import file_of, load_set, overlaps
from conspo_study.processes.output import lasting_output
from conspo_study.records import Problem, Verdict
from conspo_study.reward import Verifier

PATIENCE_S = 60.0
"""Deadline of a check; on a busy machine short ones find fault with good answers."""


@dataclass(frozen=True)
class Arguments:
    """What to look at."""

    data_dir: TypedPath | None = None
    """Folder with the files of named sets; without one, the cache of fetched sets."""
    sets: tuple[str, ...] = ()
    """Evaluation sets, by name or path; by default all named ones that are here."""
    train: tuple[str, ...] = ()
    """Training sets, likewise."""


@lasting_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print what there is to know; returns the process's exit status."""
    chosen = tyro.cli(Arguments, args=arguments, description=__doc__)
    folder = None if chosen.data_dir is None else str(chosen.data_dir)
    data = DataConfig(folder=folder, max_bad_rows=1)
    try:
        here = [entry for name, entry in NAMED.items() if file_of(name, data).exists()]
        sets = chosen.sets or tuple(entry.name for entry in here if not entry.train)
        train = chosen.train or tuple(entry.name for entry in here if entry.train)
        with Verifier(RewardConfig(deadline_s=PATIENCE_S)) as verifier:
            for name in (*sets, *train):
                for line in set_lines(name, data, verifier):
                    print(line, flush=True)
        for name in train:
            for line in overlap_lines(name, sets, data):
                print(line)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def set_lines(name: str, data: DataConfig, verifier: Verifier) -> list[str]:
    """A line for the set and one for each row that is no good."""
    problems, bad = load_set(name, data)
    golds = unreadable_golds(problems, verifier)
    rows = len(problems) + len(bad)
    known = f" of {NAMED[name].rows}" if name in NAMED and NAMED[name].rows != rows else ""
    return [
        f"{name}: {rows}{known} rows, {len(bad)} left out, {len(golds)} gold answers unreadable",
        *(f"  row {one.row}: {one.reason}" for one in bad),
        *(f"  {problem.id}: gold answer {problem.answer!r}" for problem in golds),
    ]


def unreadable_golds(problems: Sequence[Problem], verifier: Verifier) -> list[Problem]:
    """Problems whose gold answer, given as a response, is not judged correct."""
    pairs = [(problem.answer, f"\\boxed{{{problem.answer}}}") for problem in problems]
    judged = zip(problems, verifier.verify(pairs), strict=True)
    return [problem for problem, found in judged if found.verdict is not Verdict.CORRECT]


def overlap_lines(train: str, sets: Sequence[str], data: DataConfig) -> list[str]:
    """The problems of a training set that are also evaluated, by set."""
    if not sets:
        return []
    found = overlaps(load_set(train, data)[0], data, EvaluationConfig(sets=tuple(sets)))
    lines = []
    for name in dict.fromkeys(overlap.set for overlap in found):
        own = [f"{overlap.id} = {overlap.same_as}" for overlap in found if overlap.set == name]
        lines.append(f"{train} and {name} share {len(own)}: {', '.join(own)}")
    return lines or [f"{train} shares no problem with these sets"]


if __name__ == "__main__":
    raise SystemExit(main())
