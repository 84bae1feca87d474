"""Problems, definitions and trials that two studies, A and B, have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.records.nested import flattened
from conspo_study.results.table import TrialRow


@dataclass(frozen=True, slots=True)
class Match:
    """A trial of each study that stand for the same setting."""

    a: TrialRow
    b: TrialRow
    by: str
    """`configuration`; or `label` or `settings` for trials whose configurations differ."""


def differing_data(a: StudyResults, b: StudyResults) -> tuple[str, ...]:
    """Problem sets that both studies name and whose content differs."""
    shared = a.data.keys() & b.data.keys()
    return tuple(sorted(name for name in shared if a.data[name] != b.data[name]))


def definition_differences(a: StudyResults, b: StudyResults) -> list[str]:
    """A line per setting, source hash and package version that differs."""
    sides = [
        {
            **flattened(study.definition),
            "sources": study.code.get("hash"),
            **flattened(study.snapshot.get("packages", {}), "package "),
        }
        for study in (a, b)
    ]
    names = [*sides[0], *(name for name in sides[1] if name not in sides[0])]
    return [
        visible(f"{name}: {_shown(sides[0], name)} in A, {_shown(sides[1], name)} in B", 400)
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]


def matched(a: StudyResults, b: StudyResults) -> list[Match]:
    """Pairs of trials with the same configuration hash; then those of the same label; then those
    that the search gave the same settings, in studies whose bases differ.

    A trial is matched once at most, a search trial never with a confirmation.
    """
    matches: list[Match] = []
    for by, key in (("configuration", _hash), ("label", _label), ("settings", _settings)):
        taken = {match.b.id for match in matches}
        known = {match.a.id for match in matches}
        partners: dict[str, TrialRow] = {}
        for row in b.table.all_rows:
            if key(row) and row.id not in taken:
                partners.setdefault(key(row), row)
        matches += [
            Match(row, partners.pop(key(row)), by)
            for row in a.table.all_rows
            if row.id not in known and key(row) in partners
        ]
    return matches


def _hash(row: TrialRow) -> str:
    return row.config_hash and f"{row.role}: {row.config_hash}"


def _label(row: TrialRow) -> str:
    return row.label and f"{row.role}: {row.label}"


def _settings(row: TrialRow) -> str:
    if row.label or not row.params:
        return ""
    return f"{row.role}: {json.dumps(dict(row.params), sort_keys=True, default=str)}"


def _shown(side: Mapping[str, Any], name: str) -> str:
    return json.dumps(side[name], ensure_ascii=False) if name in side else "absent"
