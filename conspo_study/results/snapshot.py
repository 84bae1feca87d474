"""Record of code, packages, hardware and data of a study; nothing identifies a person or host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conspo_study.files import write_json_atomic
from conspo_study.machine import usable_cores

__all__ = ["snapshot", "write_json_atomic"]

_TIMEOUT_S = 10.0


def snapshot(
    *,
    data_hashes: Mapping[str, str],
    seeds: Sequence[int],
    left_out: Mapping[str, int] | None = None,
    argv: Sequence[str] | None = None,
    package: Path | None = None,
) -> dict[str, Any]:
    """Plain JSON data for `snapshot.json`.

    data_hashes: name of each problem set to its content hash. left_out: how many rows of a set
    take no part, where any do. seeds: the root seeds. argv: the command, by default this
    process's; absolute paths are shortened to their last part. package: the folder whose git state
    is recorded, by default this package's.
    """
    return {
        "git": git_state(package or Path(__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "packages": _package_versions(),
        "hardware": {
            "platform": f"{platform.system()} {platform.machine()}",
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "usable_cores": usable_cores(),
            "memory_gib": round(
                os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
            ),
            "gpus": _gpus(),
        },
        "data": dict(data_hashes),
        "left_out": dict(left_out or {}),
        "seeds": list(seeds),
        "argv": [_without_folders(text) for text in (sys.argv if argv is None else argv)],
    }


def git_state(package: Path) -> dict[str, Any]:
    """Commit and whether the tree differs from it; nulls when the code is not under git.

    `refused` says why git reads nothing of a repository that there is, such as one of another user.
    """
    unknown: dict[str, Any] = {"hash": None, "dirty": None}
    git = ["git", "-C", str(package)]
    if refused := _refusal([*git, "rev-parse", "--git-dir"]):
        return {**unknown, "refused": refused}
    # An installed copy may lie inside some other project's repository, whose commit means nothing.
    if _output([*git, "ls-files", "--error-unmatch", "__init__.py"]) is None:
        return unknown
    commit = _output([*git, "rev-parse", "HEAD"])
    changes = _output([*git, "status", "--porcelain"])
    return {"hash": commit, "dirty": None if changes is None else bool(changes)}


def _package_versions() -> dict[str, str]:
    try:
        requirements = importlib.metadata.requires("conspo-study") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    versions = {}
    for requirement in requirements:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        if match is None:
            continue
        try:
            versions[match[0]] = importlib.metadata.version(match[0])
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor()
    match = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return match[1] if match else platform.processor()


def _gpus() -> list[str]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    return (_output(query) or "").splitlines()


def _without_folders(text: str) -> str:
    return re.sub(r"(^|=)[/~]\S*/", r"\1", text)


def _refusal(command: list[str]) -> str:
    """What git says, in one line without folders, where it finds a repository and does not read
    it; empty where it does, or finds none."""
    done = _run(command)
    if done is None or done.returncode == 0 or "not a git repository" in done.stderr:
        return ""
    said = next(iter(done.stderr.strip().splitlines()), "") or f"exit status {done.returncode}"
    return re.sub(r"\s*(at )?'/[^']*'", "", said.removeprefix("fatal: ")).strip()


def _output(command: list[str]) -> str | None:
    """Trimmed standard output, or None when the program is absent, slow or fails."""
    done = _run(command)
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """The program's end; None when it is absent or slow."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
