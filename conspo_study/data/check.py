"""Reads all data of a study before it starts: content hashes, skipped rows, and reasons to
refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data.audit import by_kind
from conspo_study.data.benchmarks import NAMED
from conspo_study.data.hub import fetch
from conspo_study.data.overlap import overlapping_ids
from conspo_study.data.problems import content_hash
from conspo_study.data.sources import (
    Overlap,
    evaluation_sets,
    file_of,
    load_set,
    overlaps,
    without,
)
from conspo_study.records import GENERATED, Problem, is_generated, set_source

IDS_SHOWN = 20
"""Maximum number of ids in a message."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of a set that the study does not use."""

    set: str
    row: int | None
    """Line of the file, for a row that is not a usable problem; else None."""
    id: str | None
    """Id of a problem that is not trained on because it is evaluated; else None."""
    reason: str


@dataclass(frozen=True, slots=True)
class StudyData:
    """A summary of the problems of a study."""

    hashes: Mapping[str, str]
    """Content hash of the used part of every set, by the set's source."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks on sets that differ from expectation without stopping the study."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows left out, by set."""
        return dict(Counter(row.set for row in self.left_out))

    def lines(self) -> list[str]:
        """A line for each set and kind of reason for which rows are left out, and the notes."""
        lines = []
        for name in self.counts:
            mine = [row for row in self.left_out if row.set == name]
            bad = by_kind((row.row, row.reason) for row in mine if row.row is not None)
            evaluated = [f"{row.id}: {row.reason}" for row in mine if row.row is None]
            if evaluated:
                more = f", and {len(evaluated) - 1} more" if len(evaluated) > 1 else ""
                bad.append((len(evaluated), evaluated[0] + more))
            lines += [f"{name}: {count} left out ({told})" for count, told in bad]
        return [*lines, *self.notes]


def missing_sets(data: DataConfig, *evaluations: EvaluationConfig) -> list[str]:
    """Named sets that are in neither folder nor cache and must be fetched."""
    entries = [data.train, *(entry for settings in evaluations for entry in settings.sets)]
    named = [name for name in dict.fromkeys(map(set_source, entries)) if name in NAMED]
    return [name for name in named if not file_of(name, data).exists()]


def check_data(
    data: DataConfig,
    search: EvaluationConfig,
    confirmation: EvaluationConfig | None = None,
    extra: bool = False,
) -> StudyData:
    """Fetch missing sets, read all sets, and summarise what the study uses.

    extra: hash all fields of a row, because rewards read more than its answer. If search and
    confirmation use different numbers of problems of one set, the larger number is hashed.

    Raises ValueError for a set that cannot be used; for problems shared by training and evaluation
    unless `data.on_overlap` drops them; for problems shared by both splits of a set, since a winner
    would be confirmed on the problems that selected it; and if search and confirmation would train
    on different problems.
    """
    evaluations = [search, *([confirmation] if confirmation else [])]
    for name in missing_sets(data, *evaluations):
        fetch(NAMED[name])
    sets: dict[str, list[Problem]] = {}
    for settings in evaluations:
        for name, problems in evaluation_sets(data, settings).items():
            source = settings.source(name)
            sets[source] = max(sets.get(source, []), problems, key=len)
    if confirmation is not None:
        _refuse_shared_splits(search, confirmation, sets)
    hashes = {source: content_hash(problems, extra) for source, problems in sets.items()}
    dropped: list[LeftOut] = []
    if set_source(data.train) not in GENERATED:
        train, dropped = _training(data, evaluations)
        hashes = {set_source(data.train): content_hash(train, extra), **hashes}
    left_out, notes = _unusable([n for n in hashes if not is_generated(n)], data)
    return StudyData(hashes, (*left_out, *dropped), tuple(notes))


def _training(
    data: DataConfig, evaluations: Sequence[EvaluationConfig]
) -> tuple[list[Problem], list[LeftOut]]:
    """The training problems, and those left out because they are evaluated."""
    whole = load_set(data.train, data).problems
    by_evaluation = [overlaps(whole, data, settings) for settings in evaluations]
    shared = [*dict.fromkeys(overlap for part in by_evaluation for overlap in part)]
    if shared and data.on_overlap == "refuse":
        raise ValueError(_shared_text(shared))
    dropped = [{overlap.id for overlap in part} for part in by_evaluation]
    if any(ids != dropped[0] for ids in dropped):
        raise ValueError(
            "search and confirmation would train on different problems, because they evaluate "
            "different sets and data.on_overlap=drop removes evaluated problems from training: "
            "list the sets of both in the study's evaluation.sets"
        )
    train = without(whole, shared)
    if not train:
        raise ValueError(
            f"all problems of {data.train} are also evaluated, so none remain for training: choose "
            "another data.train or other evaluation.sets"
        )
    return train, [
        LeftOut(set_source(data.train), None, overlap.id, f"is {overlap.same_as} of {overlap.set}")
        for overlap in shared
    ]


def _shared_text(shared: Sequence[Overlap]) -> str:
    by_set: dict[str, list[Overlap]] = {}
    for overlap in shared:
        by_set.setdefault(overlap.set, []).append(overlap)
    lines = [
        f"{len(group)} problems of {name} are also in the training file ({_ids(group)})"
        for name, group in by_set.items()
    ]
    return "; ".join(lines) + ": remove them from either, or set data.on_overlap=drop"


def _ids(shared: Sequence[Overlap]) -> str:
    shown = [f"{overlap.id} = {overlap.same_as}" for overlap in shared[:IDS_SHOWN]]
    more = len(shared) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _refuse_shared_splits(
    search: EvaluationConfig, confirmation: EvaluationConfig, sets: Mapping[str, list[Problem]]
) -> None:
    for name in search.names:
        a, b = search.source(name), confirmation.source(name)
        if name not in confirmation.names or a == b:
            continue
        shared = [Overlap(x, b, y) for x, y in overlapping_ids(sets[a], sets[b])]
        if shared:
            raise ValueError(
                f"{len(shared)} problems of {b} are also in {a} ({_ids(shared)}): remove them from "
                "either"
            )


def _unusable(names: Sequence[str], data: DataConfig) -> tuple[list[LeftOut], list[str]]:
    """Unusable rows of files and named sets, remarks on them, and notes on unexpected sizes."""
    left_out: list[LeftOut] = []
    notes: list[str] = []
    for name in names:
        problems, bad, remarks = load_set(name, data)
        left_out += [LeftOut(name, row.row, None, row.reason) for row in bad]
        notes += [f"{name}: {remark}" for remark in remarks]
        rows = len(problems) + len(bad)
        if name in NAMED and rows != NAMED[name].rows:
            notes.append(f"{name}: {rows} rows, expected {NAMED[name].rows}")
    return left_out, notes
