"""What a study reads, before it starts: hashes, what is left out and why, what may not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.config.problem_sets import GENERATED
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
from conspo_study.records import Problem, set_source

IDS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of a set that takes no part in the study."""

    set: str
    row: int | None
    """Line of the file, for a row that is not a usable problem."""
    id: str | None
    """Of a problem that is left out of training because it is evaluated."""
    reason: str


@dataclass(frozen=True, slots=True)
class StudyData:
    """The problems of a study, as far as others must know them."""

    hashes: Mapping[str, str]
    """Content hash of every set that a study reads, by what it holds; of what is used of it."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What is unexpected about a set and does not stop the study."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows left out, by set."""
        return dict(Counter(one.set for one in self.left_out))

    def lines(self) -> list[str]:
        """For people: what is left out, and the notes."""
        found = []
        for name, count in self.counts.items():
            own = [one for one in self.left_out if one.set == name]
            first = own[0]
            where = f"row {first.row}" if first.id is None else first.id
            more = f", and {count - 1} more" if count > 1 else ""
            found.append(f"{name}: {count} left out ({where}: {first.reason}{more})")
        return [*found, *self.notes]


def missing_sets(data: DataConfig, *evaluations: EvaluationConfig) -> list[str]:
    """Named sets that are in neither folder nor cache, and have to be fetched."""
    entries = [data.train, *(entry for one in evaluations for entry in one.sets)]
    named = [name for name in dict.fromkeys(map(set_source, entries)) if name in NAMED]
    return [name for name in named if not file_of(name, data).exists()]


def check_data(
    data: DataConfig,
    search: EvaluationConfig,
    confirmation: EvaluationConfig | None = None,
    extra: bool = False,
) -> StudyData:
    """Fetch what is missing, read everything, and say what the study is about to use.

    extra: whether rewards read more of a row than its answer, so that all of it is hashed. Where
    search and confirmation use more or fewer problems of one set, the larger number is hashed.
    Raises ValueError: for a set that cannot be used; listing ids, when training shares problems
    with an evaluation set and `data.on_overlap` does not drop them, or the two splits of a set
    share some, which would confirm a winner on what selected it; and when search and confirmation
    would train on different problems.
    """
    evaluations = [search, *([confirmation] if confirmation else [])]
    for name in missing_sets(data, *evaluations):
        fetch(NAMED[name])
    sets: dict[str, list[Problem]] = {}
    for one in evaluations:
        for name, problems in evaluation_sets(data, one).items():
            source = one.source(name)
            sets[source] = max(sets.get(source, []), problems, key=len)
    if confirmation is not None:
        _refuse_shared_splits(search, confirmation, sets)
    hashes = {source: content_hash(problems, extra) for source, problems in sets.items()}
    dropped: list[LeftOut] = []
    if set_source(data.train) != GENERATED:
        train, dropped = _training(data, evaluations)
        hashes = {set_source(data.train): content_hash(train, extra), **hashes}
    left_out, notes = _unusable([n for n in hashes if n.partition("/")[0] != GENERATED], data)
    return StudyData(hashes, (*left_out, *dropped), tuple(notes))


def _training(
    data: DataConfig, evaluations: Sequence[EvaluationConfig]
) -> tuple[list[Problem], list[LeftOut]]:
    """What is trained on, and what overlap leaves out of it."""
    whole, _ = load_set(data.train, data)
    by_evaluation = [overlaps(whole, data, one) for one in evaluations]
    shared = [*dict.fromkeys(overlap for found in by_evaluation for overlap in found)]
    if shared and data.on_overlap == "refuse":
        raise ValueError(_shared_text(shared))
    gone = [{overlap.id for overlap in found} for found in by_evaluation]
    if any(ids != gone[0] for ids in gone):
        raise ValueError(
            "search and confirmation would train on different problems, since they evaluate other "
            "sets and data.on_overlap drops what is evaluated: name all sets in evaluation.sets of "
            "the study"
        )
    train = without(whole, shared)
    if not train:
        raise ValueError(
            f"all problems of {data.train} are also evaluated: nothing is left to train; name "
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
        f"{len(found)} problems of {name} are also in the training file ({_ids(found)})"
        for name, found in by_set.items()
    ]
    return "; ".join(lines) + ": remove them from either, or set data.on_overlap=drop"


def _ids(found: Sequence[Overlap]) -> str:
    shown = [f"{overlap.id} = {overlap.same_as}" for overlap in found[:IDS_SHOWN]]
    more = len(found) - len(shown)
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
    """Bad rows of files and named sets, and which of these have another size than is known."""
    left_out: list[LeftOut] = []
    notes = []
    for name in names:
        problems, bad = load_set(name, data)
        left_out += [LeftOut(name, one.row, None, one.reason) for one in bad]
        rows = len(problems) + len(bad)
        if name in NAMED and rows != NAMED[name].rows:
            notes.append(f"{name}: {rows} rows, where {NAMED[name].rows} are known")
    return left_out, notes
