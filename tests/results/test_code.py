"""A change of code is seen, and named by file."""

from pathlib import Path

from conspo_study.results.code import code_changes, code_identity


def package(folder: Path, count: int = 2) -> Path:
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        (folder / "sub" / f"m{number}.py").write_text(f"x = {number}\n")
    (folder / "notes.txt").write_text("not code")
    return folder


def test_this_package_is_identified_by_all_of_its_sources() -> None:
    found = code_identity()
    assert "results/code.py" in found["files"] and "study.py" in found["files"]
    assert found == code_identity()
    assert code_changes(found, found) == []


def test_a_change_is_named_by_file_and_only_code_counts(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    before = code_identity(folder)
    (folder / "notes.txt").write_text("other notes")
    assert code_identity(folder) == before
    (folder / "sub" / "m1.py").write_text("x = 7\n")
    after = code_identity(folder)
    assert code_changes(before, after) == [
        f"code: sources {before['hash']} there, sources {after['hash']} here "
        "(1 file differs: sub/m1.py)"
    ]


def test_added_and_removed_files_are_changes_and_few_are_named(tmp_path: Path) -> None:
    folder = package(tmp_path / "package", 8)
    before = code_identity(folder)
    for number in range(7):
        (folder / "sub" / f"m{number}.py").rename(folder / "sub" / f"n{number}.py")
    (line,) = code_changes(before, code_identity(folder))
    named = "sub/m0.py, sub/m1.py, sub/m2.py, sub/m3.py, sub/m4.py, ..."
    assert f"(14 files differ: {named})" in line


def test_commits_are_named_where_there_are_any() -> None:
    there = {"hash": "a", "git": "1" * 40, "files": {"a.py": "1"}}
    here = {"hash": "b", "git": "2" * 40, "files": {"a.py": "2"}}
    assert code_changes(there, here)[0].startswith("code: git 111111111111 there, git 222222222222")
    edited = {**here, "git": there["git"]}
    assert code_changes(there, edited) == [
        "code: git 111111111111 on both sides, of which one was edited (1 file differs: a.py)"
    ]
