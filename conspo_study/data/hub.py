"""Fetches named sets from the hub, by the `datasets` library, into cached JSON-lines files.

Only the driver of a study fetches; trials read the cached file, whose content is hashed. Code that
comes with a dataset is never run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conspo_study.config.places import cache_root
from conspo_study.data.benchmarks import Hub, NamedSet
from conspo_study.extras import lack
from conspo_study.files import write_atomic
from conspo_study.text import one_line


class HubError(ValueError):
    """A set that cannot be fetched; one line that says why and what to do."""


def cached_file(entry: NamedSet) -> Path:
    """The path of a fetched set; its name depends on the dataset and on the conversion."""
    digest = hashlib.sha256(repr(entry.hub).encode()).hexdigest()[:8]
    return cache_root() / "problems" / f"{entry.name}-{digest}.jsonl"


def fetch(entry: NamedSet) -> Path:
    """Fetch a set into the cache and return its file. Rows are not checked here but when the file
    is read. Raises HubError."""
    path = cached_file(entry)
    rows = [converted(entry.hub, row, index) for index, row in enumerate(_rows(entry))]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    except OSError as error:
        raise HubError(
            f"{entry.name}: the cache {path.parent} cannot be written ({error.strerror}): set "
            "CONSPO_STUDY_CACHE to a writable folder"
        ) from error
    return path


def cannot_fetch(names: Iterable[str]) -> str | None:
    """Why these sets, which are not on this machine, cannot be fetched, as far as that is known
    without a network; None if nothing speaks against it."""
    lacking = lack("fetching from the hub", "hub")
    return lacking and (
        f"{', '.join(names)}: not among the files of data.folder, and {lacking} (or name a folder "
        "with --data-dir)"
    )


def converted(hub: Hub, row: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A row with the fields of a problem file; None for a field without a usable value."""
    return {
        "id": index if hub.id is None else row[hub.id],
        "problem": _without(row[hub.problem], hub.around),
        "answer": _answer(row[hub.answer], hub.form),
    }


def _rows(entry: NamedSet) -> Iterable[Mapping[str, Any]]:
    hub = entry.hub
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise HubError(cannot_fetch([entry.name]) or f"{entry.name}: {one_line(error)}") from error
    try:
        rows: Any = load_dataset(hub.path, hub.config, split=hub.split)
    except Exception as error:  # any error of network, hub or disk
        advice = "put its file into a folder and name that with --data-dir"
        if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
            advice = f"HF_HUB_OFFLINE is set: unset it, or {advice}"
        raise HubError(
            f"{entry.name}: {hub.path} cannot be fetched ({one_line(error)}); {advice}"
        ) from error
    wanted = [name for name in (hub.id, hub.problem, hub.answer) if name is not None]
    missing = [name for name in wanted if name not in rows.column_names]
    if missing:
        raise HubError(
            f"{entry.name}: {hub.path} has no column {', '.join(missing)}, but "
            f"{', '.join(rows.column_names)}; put a file with id, problem and answer into a folder "
            "and name that with --data-dir"
        )
    return rows  # type: ignore[no-any-return]


def _answer(value: Any, form: str) -> Any:
    if form == "first":
        value = value[0] if isinstance(value, list) and value else None
    if form == "after_hashes":
        _, marks, value = str(value).rpartition("####")
        value = value.strip().replace(",", "") if marks else None
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 142.0 of a column of floats
    return value


def _without(text: Any, around: tuple[str, str]) -> Any:
    if not isinstance(text, str):
        return text
    before, after = around
    return text.removeprefix(before).removesuffix(after)
