import json
import subprocess
import sys
from pathlib import Path

import pytest

from conspo_study.config.places import cache_root
from conspo_study.policy.cache import MANIFEST, cached_folder, damage


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path))
    return tmp_path


def fill(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"aaa")
    (folder / "b.json").write_text("{}")


def refuse(folder: Path) -> None:
    raise AssertionError("there was no need to build")


def fail_to_hear(notice: str) -> None:
    raise AssertionError(notice)


def test_the_root_follows_the_environment(monkeypatch, tmp_path):
    assert cache_root() == tmp_path
    monkeypatch.delenv("CONSPO_STUDY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_root() == Path("/x/conspo-study")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache/conspo-study"


def test_a_folder_is_built_once():
    folder = cached_folder("thing", fill, fail_to_hear)
    assert cached_folder("thing", refuse, fail_to_hear) == folder
    assert sorted(json.loads((folder / MANIFEST).read_text())["files"]) == ["a.bin", "b.json"]


@pytest.mark.parametrize("file", ["a.bin", MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_folder_is_built_again_with_a_notice(file, how):
    folder = cached_folder("thing", fill, fail_to_hear)
    path = folder / file
    if how == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-2] if how == "cut" else b"\x00" + content[1:])
    notices: list[str] = []
    assert cached_folder("thing", fill, notices.append) == folder
    assert len(notices) == 1 and "damaged" in notices[0]
    assert damage(folder) is None and (folder / "a.bin").read_bytes() == b"aaa"


def test_a_failed_build_leaves_nothing_behind(root):
    def fail(folder: Path) -> None:
        fill(folder)
        raise RuntimeError("no more memory")

    with pytest.raises(RuntimeError):
        cached_folder("thing", fail, fail_to_hear)
    assert [path.name for path in root.iterdir()] == ["thing.lock"]


def test_a_cache_that_cannot_be_written_says_what_to_set(root, monkeypatch):
    (root / "file").write_text("")
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(root / "file"))
    with pytest.raises(OSError, match="set CONSPO_STUDY_CACHE"):
        cached_folder("thing", fill, fail_to_hear)


BUILDER = """
import sys, time
from pathlib import Path
from conspo_study.files import digest
from conspo_study.policy.cache import cached_folder

def build(folder):
    print("built")
    (folder / "a.bin").write_bytes(str(time.time_ns()).encode())
    time.sleep(0.5)

folder = cached_folder("thing", build, print)
print(digest(folder / "a.bin"))
"""


def test_of_processes_that_start_together_one_builds_and_all_get_the_same():
    processes = [
        subprocess.Popen([sys.executable, "-c", BUILDER], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=50)[0].split() for process in processes]
    assert sum("built" in output for output in outputs) == 1
    assert len({output[-1] for output in outputs}) == 1


def test_without_a_home_the_cache_is_an_error_that_names_the_variable(monkeypatch):
    for name in ("CONSPO_STUDY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(OSError, match=r"without a home directory.*CONSPO_STUDY_CACHE"):
        cache_root()
