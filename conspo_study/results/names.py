"""Names of the files in a results directory, and where they lie. No other module spells them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

DEFINITION = "study.json"
"""The study's definition, with hashes of data and code."""
SNAPSHOT = "snapshot.json"
"""Code, packages and hardware of the last start."""
LOG = "log.jsonl"
LEASE = "driver.json"
"""The driver of the study; only while it runs."""
QUARANTINE = "quarantine.jsonl"
"""Rows of problem sets that take no part in the study, and why."""
PLUGINS = "plugins"
"""Folder with a copy of the study's own code."""
DIGEST, SCORES = "digest.json", "scores.parquet"
"""Of a digest, a small copy of a finished study: what replaces the files of its trials."""
VERDICT = "verdict.json"
"""What the study shows, in a sentence of its last report."""
NOTES = "notes.jsonl"
"""Notes and tags that people gave to the study and its trials."""
TRACKING = "tracking"
"""Folder of what trackers were sent, what their processes said, and what they keep."""

CONFIG = "config.json"
"""In a trial's folder, as all that follow: its whole configuration."""
STEPS = "steps.jsonl"
CREDITS = "credits.jsonl"
INCIDENTS = "incidents.jsonl"
FAILURE = "failure.txt"
"""The whole cause of a failure, and where in the code it happened."""
EVALUATIONS, ROLLOUTS = "eval", "rollouts"
"""Beginnings of the names of Parquet files, before seed and step."""
PROBLEMS = "problems"
"""Beginning of the names of Parquet files of evaluated problems, before a seed if there is one."""

_TRIALS, _UNTRAINED, _RAY, _CALL = "trials", "untrained", "ray", "seed-"
INNER = 2
"""Folders of a results directory above a trial's files, its checkpoints and shared evaluations."""


def trials_folder(results: Path) -> Path:
    """Where the folders of all trials lie."""
    return results / _TRIALS


def trial_folder(results: Path, trial: str) -> Path:
    """Where the rows and evaluations of a trial lie."""
    return results / _TRIALS / trial


def untrained_folder(results: Path, key: str) -> Path:
    """Where evaluations at step 0 lie that all trials with the same `key` share."""
    return results / _UNTRAINED / key


def ray_folder(results: Path) -> Path:
    """Where Ray keeps its files, and trials their checkpoints."""
    return results / _RAY


def run_name(study: str, trial: str) -> str:
    """Name of a trial's Ray Train run; fixed, so that a trial that is started again finds its
    folder."""
    return f"{study}-{trial}"


def run_folder(results: Path, study: str, trial: str) -> Path:
    """Where a trial's checkpoints lie."""
    return ray_folder(results) / run_name(study, trial)


def call_folder(run: Path, seed: int) -> Path:
    """In a run's folder: where a call of a training function keeps its files."""
    return run / f"{_CALL}{seed}"


def is_call_folder(name: str) -> bool:
    """True for the name of such a folder."""
    return name.startswith(_CALL)


def call_output(call: Path, rank: int) -> Path:
    """In a call's folder: what its process of this rank printed."""
    return call / f"output-{rank}.txt"


def ray_messages(results: Path) -> Path:
    """Ray's own messages."""
    return ray_folder(results) / "messages.log"


def worker_file(run: Path, rank: int) -> Path:
    """In a run's folder: the process of worker `rank`."""
    return run / f"worker-{rank}.json"


def worker_files(run: Path) -> list[Path]:
    """`worker_file` of all workers that were started and not ended."""
    return sorted(run.glob("worker-*.json"))


def parts_inside(path: Path) -> int:
    """How many of the last parts of the path of a file lie inside its results directory: its name,
    and the folders that this module puts it into."""
    folders = [parent.name for parent in (path.parent, path.parent.parent)]
    if folders[1] in (_TRIALS, _UNTRAINED, _RAY):
        return 3
    return 2 if folders[0] == TRACKING else 1


def leftovers(results: Path) -> Iterator[Path]:
    """Temporary files whose writers were killed, or write at this moment."""
    for place in (".", f"{_TRIALS}/*", f"{_UNTRAINED}/*"):
        yield from results.glob(f"{place}/.*.tmp")
    yield from results.glob(f"{_RAY}/*/.worker-*.json.*.tmp")


def studies_in(folder: Path) -> list[Path]:
    """Results directories directly inside `folder`. Raises OSError when it cannot be read."""
    return [path.parent for path in folder.glob(f"*/{DEFINITION}")]
