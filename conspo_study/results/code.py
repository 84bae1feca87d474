"""Hashes of the sources that can change a number of a study, its own plugins included.

A commit does not tell: the tree may differ from it, and an installed copy has none. Files that only
show a study, or forecast it, may change while it is interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conspo_study.results.snapshot import git_state

COMPUTING = (
    *("config", "data", "definition", "evaluation", "objective", "policy", "records", "reward"),
    *("rollout", "search", "seeds.py", "statistics", "training", "update"),
    *(f"results/{name}.py" for name in ("content", "lines", "log", "rows", "table")),
    *(f"results/{name}.py" for name in ("trial_events", "trial_row", "whole_lines")),
    *(f"cluster/{name}.py" for name in ("outlet", "trial", "trial_spec", "tune")),
)
"""Folders and files of the package that can change a number."""
SAME_NUMBERS: dict[str, str] = {
    "67716d6ecb4b": "0.3.0 before evaluations kept responses, and trials their problems",
}
"""Hashes of the sources of earlier versions that compute what this one computes, bit for bit: their
studies go on without a difference. A change that alters a number empties this table."""
NAMED_FILES = 5
"""Changed files that a message names."""
_PLUGIN = "plugin "


def code_identity(
    package: Path | None = None, plugins: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`hash` of all these sources, `git` commit (None outside of a repository), and `files`:
    relative path to hash.

    package: by default this package's folder. plugins: hashes of files from elsewhere by name,
    which begins with `plugin `.
    """
    package = package or Path(__file__).resolve().parents[1]
    files = {
        path.relative_to(package).as_posix(): _digest(path.read_bytes())
        for name in COMPUTING
        for path in sorted((package / name).rglob("*.py") if "." not in name else [package / name])
        if path.is_file()
    } | dict(plugins or {})
    return {"hash": _hash(files), "git": git_state(package)["hash"], "files": files}


def code_changes(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The difference between two identities in at most one line: empty when there is none."""
    if there["hash"] == here["hash"]:
        return []
    a, b = dict(there["files"]), here["files"]
    if _hash({name: a[name] for name in a if not name.startswith(_PLUGIN)}) in SAME_NUMBERS:
        plugins = {name: digest for name, digest in a.items() if name.startswith(_PLUGIN)}
        a = {name: digest for name, digest in b.items() if not name.startswith(_PLUGIN)} | plugins
    changed = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    if not changed:
        return []
    named = ", ".join(changed[:NAMED_FILES]) + (", ..." if len(changed) > NAMED_FILES else "")
    differ = "1 file differs" if len(changed) == 1 else f"{len(changed)} files differ"
    if there["git"] and there["git"] == here["git"]:
        return [f"code: {_commit(here)} on both sides, of which one was edited ({differ}: {named})"]
    return [f"code: {_commit(there)} there, {_commit(here)} here ({differ}: {named})"]


def _commit(identity: Mapping[str, Any]) -> str:
    return f"git {identity['git'][:12]}" if identity["git"] else f"sources {identity['hash']}"


def _hash(files: Mapping[str, str]) -> str:
    return _digest("\n".join(f"{name} {digest}" for name, digest in files.items()).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
