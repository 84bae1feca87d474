"""A part of a study that is a study of its own: the anchors that `--only` names.

The parts of a label are what stands between its commas: `GRPO, E16, lr x1` has three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from conspo_study.definition import Comparisons, StudyDefinition
from conspo_study.definition.study import LONGEST_NAME
from conspo_study.records import StudyError


def piece_of(declared: StudyDefinition, only: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The fields of the definition that change when only some anchors run.

    only: groups of parts; an anchor stays if its label has a part of every group, in whatever case.
    The budget falls by the anchors that go, the name says what stays, and what is compared are the
    declared comparisons of those. Raises StudyError where no anchor stays, naming the parts that
    there are, and where anchors stay without what they are compared with.
    """
    groups = [{part.casefold() for part in group} for group in only]
    known = dict.fromkeys(part for anchor in declared.anchors for part in parts_of(anchor.label))
    spelling = {part.casefold(): part for part in known}
    unknown = [part for group in only for part in group if part.casefold() not in spelling]
    kept = [
        anchor
        for anchor in declared.anchors
        if all(group & {part.casefold() for part in parts_of(anchor.label)} for group in groups)
    ]
    if unknown or not kept:
        what = f"no anchor has {', '.join(unknown)}" if unknown else "no anchor has all of that"
        raise StudyError(
            f"--only: {what} in its label; parts of labels here: {', '.join(known) or 'none'}"
        )
    changes: dict[str, Any] = {
        "name": _name(declared.name, [spelling[p.casefold()] for group in only for p in group]),
        "anchors": [anchor.model_dump(mode="json") for anchor in kept],
        "trials": declared.trials - len(declared.anchors) + len(kept),
    }
    if declared.confirm is not None and declared.confirm.anchors is not None:
        labels = [anchor.label for anchor in kept if anchor.label in declared.confirm.anchors]
        changes["confirm"] = {**declared.confirm.model_dump(mode="json"), "anchors": labels}
    if declared.compare is not None:
        changes["compare"] = _compared(declared.compare, [anchor.label for anchor in kept])
    return changes


def _compared(declared: Comparisons, labels: Sequence[str]) -> dict[str, Any] | None:
    """The comparisons of the anchors that stay; None for the reference alone."""
    reference = declared.reference
    if reference not in labels:
        raise StudyError(f"--only: the study compares with {reference!r}: name it, too")
    if list(labels) == [reference]:
        return None
    against = declared.against
    if against is not None:
        against = tuple(label for label in against if label in labels)
        if not against:
            raise StudyError(
                f"--only: the study compares {reference!r} with {', '.join(declared.against or ())}"
                f" alone: name one of these, too, or only {reference!r}"
            )
    return {**declared.model_dump(mode="json"), "against": against}


def parts_of(label: str) -> tuple[str, ...]:
    """What stands between the commas of a label."""
    return tuple(part.strip() for part in label.split(","))


def _name(name: str, parts: Sequence[str]) -> str:
    words = (re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in parts)
    return "_".join([name, *words])[:LONGEST_NAME].rstrip("-._")
