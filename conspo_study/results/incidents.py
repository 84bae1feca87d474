"""Incidents: failures that a trial absorbed. They cost time, never a result, and are all counted.

A trial's incidents stand in its folder as `incidents.jsonl`, one JSON object per line with `type`,
`count` and `detail`, whichever of its processes met them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from conspo_study.files import make_folders, write_atomic
from conspo_study.results.names import INCIDENTS, INNER
from conspo_study.results.reading import stored_bytes
from conspo_study.untrusted import parse_json


class IncidentType(StrEnum):
    """What can be absorbed."""

    WORKER_RESTARTED = "worker_restarted"
    """A worker process died or froze; all workers began again from the last checkpoint."""
    TRIAL_RESTARTED = "trial_restarted"
    """The process that drives the trial's workers died; the trial began again from its last
    checkpoint."""
    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    """A checkpoint was not what was written; it is set aside and an older one used."""
    RESTARTED_FROM_SCRATCH = "restarted_from_scratch"
    """No checkpoint was good; training began at its start."""
    RAY_STATE_SET_ASIDE = "ray_state_set_aside"
    """Ray Train's record of a run was in the way; it was renamed."""
    STEP_SKIPPED = "step_skipped"
    """An optimiser step was skipped because its gradient was not finite."""
    MICRO_BATCHES_HALVED = "micro_batches_halved"
    """A worker's GPU ran out of memory in an update; it went on with micro-batches of half the
    size, which give the same gradient."""
    DEGENERATE_STEP = "degenerate_step"
    """No group of a step had contrast, so that nothing could be learned from it."""
    ENGINE_RESTARTED = "engine_restarted"
    """A generation engine's process died, failed or fell silent; it was replaced."""
    VERIFIER_TIMEOUT = "verifier_timeout"
    """The check of a response passed its deadline; the response was dropped."""
    VERIFIER_KILLED = "verifier_killed"
    """The process that checked a response died; the response was dropped."""
    UNREWARDED = "unrewarded"
    """An own reward function returned None for a response, or failed; the response was dropped."""
    CHECKPOINT_KEPT = "checkpoint_kept"
    """A checkpoint that was to make room could not be removed."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One absorbed failure, or several of a type."""

    type: IncidentType
    detail: str
    """What happened, for people."""
    count: int = 1


def append_incident(folder: Path, incident: Incident) -> None:
    """Add an incident to the trial in `folder`."""
    _write(folder, [*read_incidents(folder), asdict(incident)])


def set_totals(folder: Path, totals: Iterable[Incident]) -> None:
    """Record counts over the whole trial so far, in place of earlier counts of the same types: a
    trial that repeats some steps after a restart counts them once."""
    totals = list(totals)
    counted = {total.type for total in totals}
    kept = [row for row in read_incidents(folder) if row["type"] not in counted]
    rows = [*kept, *map(asdict, totals)]
    if rows != read_incidents(folder):
        _write(folder, rows)


def read_incidents(folder: Path) -> list[dict[str, Any]]:
    """All incidents of the trial in `folder`, in the order in which they were recorded.

    Raises ValueError naming a bad line.
    """
    path = folder / INCIDENTS
    try:
        lines = stored_bytes(path).splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            rows.append({name: row[name] for name in ("type", "detail", "count")})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}: line {number} is not an incident; delete that line"
            ) from error
    return rows


def _write(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    make_folders(folder, INNER)
    # The file is short and written whole, so that a reader never meets half a line.
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    write_atomic(folder / INCIDENTS, content, INNER)
