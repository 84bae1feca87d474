"""A change of code is seen, and named by file."""

from pathlib import Path

import pytest

from conspo_study.results.code import _hash, code_changes, code_identity


def package(folder: Path, count: int = 2) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "watch").mkdir()
    (folder / "watch" / "page.py").write_text("title = 1\n")
    for number in range(count):
        (folder / "data" / f"m{number}.py").write_text(f"x = {number}\n")
    (folder / "notes.txt").write_text("not code")
    return folder


def test_this_package_is_identified_by_the_sources_that_compute() -> None:
    found = code_identity()
    assert "results/table.py" in found["files"] and "training/loop.py" in found["files"]
    assert found == code_identity()
    assert code_changes(found, found) == []


def test_a_change_is_named_by_file_and_only_code_counts(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    before = code_identity(folder)
    (folder / "notes.txt").write_text("other notes")
    (folder / "watch" / "page.py").write_text("title = 2\n")
    assert code_identity(folder) == before
    (folder / "data" / "m1.py").write_text("x = 7\n")
    after = code_identity(folder)
    assert code_changes(before, after) == [
        f"code: sources {before['hash']} there, sources {after['hash']} here "
        "(1 file differs: data/m1.py)"
    ]


def test_added_and_removed_files_are_changes_and_few_are_named(tmp_path: Path) -> None:
    folder = package(tmp_path / "package", 8)
    before = code_identity(folder)
    for number in range(7):
        (folder / "data" / f"m{number}.py").rename(folder / "data" / f"n{number}.py")
    (line,) = code_changes(before, code_identity(folder))
    named = "data/m0.py, data/m1.py, data/m2.py, data/m3.py, data/m4.py, ..."
    assert f"(14 files differ: {named})" in line


def test_commits_are_named_where_there_are_any() -> None:
    there = {"hash": "a", "git": "1" * 40, "files": {"a.py": "1"}}
    here = {"hash": "b", "git": "2" * 40, "files": {"a.py": "2"}}
    assert code_changes(there, here)[0].startswith("code: git 111111111111 there, git 222222222222")
    edited = {**here, "git": there["git"]}
    assert code_changes(there, edited) == [
        "code: git 111111111111 on both sides, of which one was edited (1 file differs: a.py)"
    ]


def test_a_version_that_computes_the_same_goes_on_unless_a_plugin_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"study.py": "1", "data/m0.py": "2"}
    monkeypatch.setattr("conspo_study.results.code.SAME_NUMBERS", {_hash(old): "0.1.0"})
    there = {"hash": "x", "git": None, "files": old | {"plugin a.py": "3"}}
    folder = package(tmp_path / "package")
    assert code_changes(there, code_identity(folder, {"plugin a.py": "3"})) == []
    (line,) = code_changes(there, code_identity(folder, {"plugin a.py": "4"}))
    assert "(1 file differs: plugin a.py)" in line
    (line,) = code_changes({**there, "files": old | {"new.py": "5"}}, code_identity(folder))
    assert "study.py" in line
