"""A snapshot identifies the run, never the person; JSON files are whole or unchanged."""

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from conspo_study.results.snapshot import snapshot, write_json_atomic


def test_the_snapshot_is_json_with_what_reproduction_needs() -> None:
    taken = snapshot(data_hashes={"chain/hard": "abc"}, seeds=[0, 1], argv=["study.py"])
    assert json.loads(json.dumps(taken, allow_nan=False)) == taken
    assert {"torch", "ray", "optuna"} <= set(taken["packages"])
    assert taken["hardware"]["memory_gib"] > 0
    assert taken["data"] == {"chain/hard": "abc"} and taken["seeds"] == [0, 1]


def test_the_snapshot_names_no_host_user_or_folder() -> None:
    argv = ["/home/someone/study.py", "--out=/data/x/results", "~/secret/model", "tau=1/2"]
    taken = snapshot(data_hashes={}, seeds=[], argv=argv)
    assert taken["argv"] == ["study.py", "--out=results", "model", "tau=1/2"]
    text = json.dumps(taken)
    assert platform.node() not in text
    assert str(Path.home()) not in text and f'"{getpass.getuser()}"' not in text


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, stdout=-3)


def test_git_state_is_the_commit_and_whether_the_tree_differs(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    assert snapshot(data_hashes={}, seeds=[], package=package)["git"]["hash"] is None
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    state = snapshot(data_hashes={}, seeds=[], package=package)["git"]
    assert len(state["hash"]) == 40 and state["dirty"] is False
    (package / "__init__.py").write_text("x = 1\n")
    assert snapshot(data_hashes={}, seeds=[], package=package)["git"]["dirty"] is True


def test_a_repository_that_git_refuses_is_told_with_its_reason_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "__init__.py").touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    # What git itself looks at to take every repository for one of another user.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    state = snapshot(data_hashes={}, seeds=[], package=tmp_path)["git"]
    assert (state["hash"], state["dirty"]) == (None, None)
    assert state["refused"] == "detected dubious ownership in repository"


def test_a_repository_that_is_damaged_is_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "config").write_text("[core\n")
    refused = snapshot(data_hashes={}, seeds=[], package=tmp_path)["git"]["refused"]
    assert "bad config" in refused and str(tmp_path) not in refused


def test_a_folder_without_a_repository_is_no_refusal(tmp_path: Path) -> None:
    state = snapshot(data_hashes={}, seeds=[], package=tmp_path)["git"]
    assert state == {"hash": None, "dirty": None}


def test_a_machine_without_git_has_no_git_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert snapshot(data_hashes={}, seeds=[])["git"] == {"hash": None, "dirty": None}


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    write_json_atomic(path, {"a": 1})
    for bad in (float("nan"), object()):
        with pytest.raises(ValueError, match=r"study\.json"):
            write_json_atomic(path, {"a": bad})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    write_json_atomic(path, {"a": 1})
    code = """
import resource, sys
from pathlib import Path
from conspo_study.results.snapshot import write_json_atomic

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_json_atomic(Path(sys.argv[1]), {"a": "x" * 1000})
except OSError as error:
    assert sys.argv[1] in str(error), error
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
