"""A process gets what it lacks: a home, a name, a temporary folder that it can use."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from conspo_study.cluster import surroundings
from conspo_study.cluster.surroundings import ROOM, study_folder
from conspo_study.records import StudyError

SETTLE = """
import getpass, json, os, stat, tempfile
from pathlib import Path
from conspo_study.config.places import cache_root
from conspo_study.cluster.surroundings import private_folder_if_any, settle

said = settle()
assert settle() is said
private = private_folder_if_any()
names = ("HOME", "USER", "TMPDIR", "RAY_TMPDIR", "MPLCONFIGDIR")
print(json.dumps({
    "said": said,
    "private": private and str(private),
    "mode": private and oct(stat.S_IMODE(private.stat().st_mode)),
    "user": getpass.getuser(),
    "home": str(Path.home()),
    "cache": str(cache_root()),
    "temporary": tempfile.gettempdir(),
    **{name: os.environ.get(name) for name in names},
}))
"""
NAMES = (
    *("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "TMPDIR", "RAY_TMPDIR", "XDG_CACHE_HOME"),
    *("XDG_CONFIG_HOME", "CONSPO_STUDY_CACHE", "MPLCONFIGDIR", "XDG_RUNTIME_DIR"),
)


def settled(*before, **environment):
    """What `settle` comes to in a process with these variables alone."""
    rest = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [*before, sys.executable, "-c", SETTLE],
        capture_output=True,
        text=True,
        env={**rest, **{name: str(value) for name, value in environment.items()}},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if found["private"]:
        assert found["mode"] == "0o700"
        assert not Path(found["private"]).exists(), "it goes with its process"
    return found


def namespaces(*options):
    """Whether this machine lets a test have a user namespace."""
    try:
        return subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def test_a_process_that_lacks_nothing_is_left_alone(tmp_path):
    found = settled(HOME=tmp_path, USER="me", TMPDIR="/tmp")
    assert (found["said"], found["private"], found["RAY_TMPDIR"]) == ([], None, None)
    assert (found["HOME"], found["USER"], found["TMPDIR"]) == (str(tmp_path), "me", "/tmp")


@pytest.mark.parametrize("kind", ["absent", "a file", "relative"])
def test_a_home_that_is_none_is_replaced_for_the_life_of_the_process(tmp_path, kind):
    home = {"absent": tmp_path / "no", "a file": tmp_path / "file", "relative": "home"}[kind]
    (tmp_path / "file").touch()
    found = settled(HOME=home)
    assert found["HOME"] == found["home"] == f"{found['private']}/home"
    assert found["cache"] == f"{found['private']}/home/.cache/conspo-study"
    assert found["said"] == [
        f"HOME={home} is not a folder: caches are in {found['HOME']} and are removed when this "
        "process ends"
    ]


@pytest.mark.skipif(not namespaces("-U", "--map-user=12345"), reason="no user namespaces here")
@pytest.mark.parametrize("home", [{}, {"HOME": ""}])
def test_a_user_id_without_a_name_and_a_home_gets_both(home):
    found = settled("unshare", "-U", "--map-user=12345", "--map-group=12345", **home)
    assert (found["USER"], found["user"]) == ("uid12345", "uid12345")
    assert found["HOME"] == f"{found['private']}/home"
    assert found["said"][0].startswith("there is no home directory: caches are in")


READ_ONLY = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && '
             'mount -o remount,ro,bind "$0" && exec "$@"')  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0 or not namespaces("-m"), reason="needs a mount of its own")
@pytest.mark.parametrize("caches", [False, True])
def test_what_can_be_read_in_a_home_that_cannot_be_written_is_still_read(tmp_path, caches):
    if caches:
        (tmp_path / ".cache/conspo-study").mkdir(parents=True)
    found = settled(*READ_ONLY, str(tmp_path), HOME=tmp_path)
    private = found["private"]
    assert found["HOME"] == str(tmp_path)
    assert found["cache"].startswith(str(tmp_path) if caches else private)
    assert found["MPLCONFIGDIR"] == f"{private}/matplotlib"
    assert "cannot be written" in found["said"][0] and "CONSPO_STUDY_CACHE" in found["said"][0]


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Stands for the folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/tmp"))
    monkeypatch.setattr(surroundings, "private_folder", cache(lambda: folder))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    yield folder
    shutil.rmtree(folder)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_a_study_s_folder_is_its_user_s_alone_and_goes_with_the_block(private, monkeypatch, umask):
    monkeypatch.setenv("TMPDIR", "/tmp")
    before = os.umask(umask)
    try:
        with study_folder() as (used, *removed):
            assert removed == [used] and used.parent == Path("/tmp") and mode(used) == 0o700
            (used / "file").touch()
    finally:
        os.umask(before)
    assert not used.exists()


def test_a_study_s_folder_is_where_the_user_wants_ray_s_files(private, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setenv("RAY_TMPDIR", str(private))
    with study_folder() as (used, *_):
        assert used.parent == private
    assert list(private.iterdir()) == []


def test_a_study_s_folder_with_a_long_path_has_a_short_name(private, monkeypatch, tmp_path):
    long = tmp_path / ("x" * ROOM)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    surroundings.private_folder()
    with study_folder() as (used, folder, also):
        assert len(os.fsencode(used)) <= ROOM and used.parent == private == also
        assert folder.parent == long and used.resolve() == folder and mode(folder) == 0o700
        (used / "file").touch()
    assert list(long.iterdir()) == [] and list(private.iterdir()) == []


def test_removing_a_study_s_folder_follows_no_link(private, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", "/tmp")
    (tmp_path / "kept").touch()
    with study_folder() as (used, *_):
        (used / "link").symlink_to(tmp_path)
    assert (tmp_path / "kept").exists() and not used.exists()


def test_folders_of_killed_processes_are_removed_by_the_next_and_those_in_use_are_not(
    private, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(private))
    dies = (
        "import os, signal\n"
        "from conspo_study.cluster.surroundings import study_folder\n"
        "with study_folder() as (used, *_):\n"
        "    (used / 'file').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", dies], env={**os.environ, "TMPDIR": str(private)}
    )
    assert killed.returncode == -signal.SIGKILL
    (abandoned,) = private.iterdir()
    (private / "conspo-by-hand").mkdir()
    first, lock = surroundings._new_folder(private)
    second, other_lock = surroundings._new_folder(private)
    assert first.exists() and second.exists() and not abandoned.exists()
    assert (private / "conspo-by-hand").exists()
    os.close(lock)
    os.close(other_lock)


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/nosuch/folder", "does not exist"),
        ("/dev/null", "is not a folder"),
        ("/proc", "cannot be"),
    ],
)
def test_a_temporary_folder_that_cannot_be_used_is_replaced(tmp_path, name, place, why):
    found = settled(HOME=tmp_path, **{name: place})
    assert found[name] == f"{found['private']}/tmp"
    (said,) = found["said"]
    assert said.startswith(f"{name}={place} {why}") and found["private"] in said


@pytest.mark.skipif(os.getuid() != 0 or not namespaces("-m"), reason="needs a mount of its own")
def test_a_full_temporary_folder_is_replaced(tmp_path):
    mount = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'
    found = settled("unshare", "-m", "sh", "-c", mount, tmp_path, HOME="/tmp", TMPDIR=tmp_path)
    assert found["said"][0].startswith(f"TMPDIR={tmp_path} cannot be written (No space left")


def test_without_any_temporary_folder_the_error_names_the_variable(monkeypatch):
    monkeypatch.setattr(surroundings, "_why_not", lambda place: "cannot be written")
    with pytest.raises(StudyError, match=r"can be written \(tried .*/tmp.*set TMPDIR to one"):
        surroundings.private_folder.__wrapped__()


def test_a_working_directory_that_is_gone_is_told(tmp_path):
    code = """
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])
from conspo_study.cluster.surroundings import settle
settle()
"""
    here = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "gone")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": here},
    )
    assert "StudyError: the working directory is gone: cd to" in done.stderr


@pytest.mark.parametrize("how", ["variable", "option"])
def test_warnings_that_were_made_errors_are_none_in_what_is_started(how):
    code = """
import os, subprocess, sys, warnings
from conspo_study.cluster.surroundings import settle
settle()
warnings.warn("old", DeprecationWarning)
child = "import warnings; warnings.warn('old', DeprecationWarning)"
sys.exit(subprocess.run([sys.executable, "-c", child]).returncode)
"""
    here = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": here}
    option = ["-W", "error::DeprecationWarning"] if how == "option" else []
    if how == "variable":
        environment["PYTHONWARNINGS"] = "error::DeprecationWarning"
    done = subprocess.run(
        [sys.executable, *option, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_room_is_what_ray_s_longest_socket_leaves():
    ray = pytest.importorskip("ray.dashboard.utils")
    from ray.dashboard.subprocesses.module import SubprocessModule

    longest = max(len(kind.__name__) for kind in ray.get_all_modules(SubprocessModule))
    assert longest <= len("TaskEventsHead")
