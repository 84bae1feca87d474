"""Reads a digest, a small copy of a finished study, in which two files stand for its trials'.

`digest.json` holds means over training steps, `scores.parquet` the final score of every seed at
every problem by the study's own metric. The rest of the folder is a results directory as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from conspo_study.records import is_number
from conspo_study.results.decoding import decoded
from conspo_study.results.event_data import seed_of
from conspo_study.results.names import DIGEST, SCORES
from conspo_study.results.reading import stored_object

VERSION = 1
COLUMNS = ("trial", "problem_set", "seed", "problem_id", "score")
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in COLUMNS[:2]),
        pa.field("seed", pa.int64()),
        pa.field("problem_id", pa.string()),
        pa.field("score", pa.float64()),
    ],
    metadata={b"conspo_scores": b"1"},
)


@dataclass(frozen=True)
class Digest:
    """What is left of the files of a study's trials."""

    means: Mapping[str, Mapping[str, Mapping[int, float]]]
    """Trial, metric of training steps, seed: the mean over the steps."""
    scores: pd.DataFrame
    """Columns `COLUMNS`, at the last step of each trial; a problem without a score has a null."""

    def scores_of(self, trial: str, problem_set: str) -> pd.DataFrame:
        """Columns seed, problem_id and score; no rows for what the digest does not hold."""
        chosen = (self.scores["trial"] == trial) & (self.scores["problem_set"] == problem_set)
        return self.scores.loc[chosen, ["seed", "problem_id", "score"]]


def read_digest(folder: Path) -> Digest | None:
    """The digest in a results directory; None where the directory is none.

    Raises OSError, and ValueError naming a file that is damaged or of another version.
    """
    path = folder / DIGEST
    try:
        stored = stored_object(path)
    except FileNotFoundError:
        return None
    if stored.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {stored.get('version')!r}, and this version reads {VERSION}"
        )
    try:
        means = {
            trial: {metric: _by_seed(values) for metric, values in metrics.items()}
            for trial, metrics in stored["step_means"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged; restore it from a copy") from error
    return Digest(means, _read_scores(folder / SCORES))


def _by_seed(values: Mapping[str, Any]) -> dict[int, float]:
    if not all(map(is_number, values.values())):
        raise ValueError("a mean is no number")
    return {seed_of(seed): float(value) for seed, value in values.items()}


def _read_scores(path: Path) -> pd.DataFrame:
    def accept(schema: Any) -> None:
        if not schema.equals(SCHEMA, check_metadata=True):
            raise ValueError(f"{path} does not have the columns of scores, version {VERSION}")

    table = decoded(path, accept, coded=("trial", "problem_set", "problem_id"))
    frame: pd.DataFrame = table.to_pandas()
    if frame.duplicated(["trial", "problem_set", "seed", "problem_id"]).any():
        raise ValueError(f"{path} is damaged: a problem has two scores; restore it from a copy")
    return frame.astype(dict.fromkeys(("trial", "problem_set", "problem_id"), str))
