"""Which code a study runs: a hash of every source file of the package and of the study's plugins,
so that changes have names.

A commit does not tell: the tree may differ from it, and an installed copy has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conspo_study.results.snapshot import git_state

NAMED_FILES = 5
"""Changed files that a message names."""


def code_identity(
    package: Path | None = None, plugins: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`hash` of all sources, `git` commit (None outside of a repository), and `files`: relative
    path to hash. `package` is by default this package's folder; `plugins` are the hashes of files
    from elsewhere."""
    package = package or Path(__file__).resolve().parents[1]
    files = {
        path.relative_to(package).as_posix(): _digest(path.read_bytes())
        for path in sorted(package.rglob("*.py"))
    } | dict(plugins or {})
    everything = "\n".join(f"{name} {digest}" for name, digest in files.items())
    return {
        "hash": _digest(everything.encode()),
        "git": git_state(package)["hash"],
        "files": files,
    }


def code_changes(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The difference between two identities in at most one line: empty when there is none."""
    if there["hash"] == here["hash"]:
        return []
    a, b = there["files"], here["files"]
    changed = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    named = ", ".join(changed[:NAMED_FILES]) + (", ..." if len(changed) > NAMED_FILES else "")
    differ = "1 file differs" if len(changed) == 1 else f"{len(changed)} files differ"
    if there["git"] and there["git"] == here["git"]:
        return [f"code: {_commit(here)} on both sides, of which one was edited ({differ}: {named})"]
    return [f"code: {_commit(there)} there, {_commit(here)} here ({differ}: {named})"]


def _commit(identity: Mapping[str, Any]) -> str:
    return f"git {identity['git'][:12]}" if identity["git"] else f"sources {identity['hash']}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
