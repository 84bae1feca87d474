"""A trial's checkpoints: whole or absent, the newest good one used, nothing lost by a kill."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from thread_world import run_threads

from conspo_study.files import digest
from conspo_study.update.checkpoint_store import CheckpointStore
from conspo_study.update.errors import CheckpointError

IDENTITY = {"config_hash": "abc", "seeds": [0]}


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "run", IDENTITY)


def fill(text="weights"):
    def write(folder):
        (folder / "model.safetensors").write_text(text)
        return {"runs": {}}

    return write


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_of_an_empty_or_absent_folder_nothing_is_found(store):
    assert store.newest().folder is None
    store.folder.mkdir()
    assert store.newest().damages == ()


def test_the_newest_is_found_and_the_last_two_are_kept(store):
    for step in (20, 40, 60, 100000):
        store.write(step, fill())
    assert names(store) == ["checkpoint_00060", "checkpoint_100000"]
    found = store.newest()
    assert (found.folder.name, found.state["step"]) == ("checkpoint_100000", 100000)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:3])


def rehash(folder):
    digests = json.loads((folder / "manifest.json").read_text())
    digests["model.safetensors"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(digests))


DAMAGES = {
    "a truncated file": truncate,
    "a wrong hash": rehash,
    "a missing file": lambda folder: (folder / "model.safetensors").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "an empty manifest": lambda folder: (folder / "manifest.json").write_text(""),
    "a manifest that is a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "a pickle beside": lambda folder: (folder / "state.pkl").write_bytes(b"\x80\x04."),
    "another step's content": lambda folder: replace_by(folder, "checkpoint_00020"),
    "a file in its place": lambda folder: put_file(folder),
    "a nested manifest": lambda folder: (folder / "manifest.json").write_text('{"a":' * 10**5),
    "a nested state": lambda folder: nest(folder),
    "a pipe beside": lambda folder: os.mkfifo(folder / "pipe.json"),
    "a pipe for a manifest": lambda folder: pipe(folder / "manifest.json"),
    "a link that the manifest names": lambda folder: link(folder),
    "a link in its place": lambda folder: link_in_its_place(folder),
}


def nest(folder):
    (folder / "state.json").write_text('{"a":' * 500 + "1" + "}" * 500)
    digests = json.loads((folder / "manifest.json").read_text())
    digests["state.json"] = digest(folder / "state.json")
    (folder / "manifest.json").write_text(json.dumps(digests))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link(folder):
    elsewhere = folder.parent / "elsewhere"
    (folder / "model.safetensors").rename(elsewhere)
    (folder / "model.safetensors").symlink_to(elsewhere)
    digests = json.loads((folder / "manifest.json").read_text())
    digests["model.safetensors"] = "a link"
    (folder / "manifest.json").write_text(json.dumps(digests))


def link_in_its_place(folder):
    folder.rename(folder.with_name("aside"))
    folder.symlink_to("aside")


def replace_by(folder, other):
    aside = folder.with_name("aside")
    folder.rename(aside)
    (folder.parent / other).rename(folder)
    aside.rename(folder.parent / other)


def put_file(folder):
    folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_set_aside_and_the_one_before_it_used(store, damage):
    for step in (20, 40):
        store.write(step, fill(f"weights of {step}"))
    DAMAGES[damage](store.folder / "checkpoint_00040")
    found = store.newest()
    if damage == "another step's content":  # then neither is what its name says
        assert found.folder is None and len(found.damages) == 2
        return
    assert found.folder.name == "checkpoint_00020"
    (reason,) = found.damages
    assert "checkpoint_00040" in reason
    assert (store.folder / "checkpoint_00040.damaged").exists()
    assert store.newest().damages == ()
    store.write(40, fill())
    assert store.newest().folder.name == "checkpoint_00040"


def test_when_all_are_damaged_none_is_found_and_all_are_named(store):
    for step in (20, 40):
        store.write(step, fill())
        truncate(store.folder / f"checkpoint_{step:05d}")
    found = store.newest()
    assert found.folder is None
    assert [reason[:16] for reason in found.damages] == ["checkpoint_00040", "checkpoint_00020"]


@pytest.mark.parametrize("key", IDENTITY)
def test_a_checkpoint_of_another_run_is_refused_and_left_alone(store, key):
    store.write(20, fill())
    other = CheckpointStore(store.folder, {**IDENTITY, key: "other"})
    with pytest.raises(CheckpointError, match=f"its {key} is"):
        other.newest()
    assert names(store) == ["checkpoint_00020"]


def test_a_failed_write_leaves_the_older_ones_and_nothing_else(store):
    store.write(20, fill())

    def full(folder):
        fill()(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        store.write(40, full)
    assert names(store) == ["checkpoint_00020"]


def test_writing_again_after_a_restart_from_an_older_one_replaces(store):
    for text in ("first", "second"):
        store.write(20, fill(text))
    assert (store.newest().folder / "model.safetensors").read_text() == "second"


def write_together(folder, step, fills):
    """The errors of workers that write a checkpoint together, by rank."""

    def work(world):
        store = CheckpointStore(folder, IDENTITY, world)
        try:
            store.write(step, fills[world.rank])
        except (OSError, RuntimeError) as error:
            return str(error)
        return None

    return run_threads(len(fills), work)


def part(number):
    def write(folder):
        (folder / f"model-{number}.safetensors").write_text(f"part {number}")
        return {"runs": {"by": number}}

    return write


def test_workers_that_write_together_make_one_checkpoint(store):
    assert write_together(store.folder, 20, [part(0), part(1), part(2)]) == [None] * 3
    found = store.newest()
    assert found.state["runs"] == {"by": 0}
    assert sorted(path.name for path in found.folder.glob("model-*")) == [
        f"model-{number}.safetensors" for number in range(3)
    ]


@pytest.mark.parametrize("unlucky", [0, 1])
def test_a_write_that_fails_on_one_worker_fails_on_all_and_leaves_nothing(store, unlucky):
    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_together(store.folder, 20, [part(0), part(1)])
    fills = [part(0), part(1)]
    fills[unlucky] = full
    errors = write_together(store.folder, 40, fills)
    assert errors[unlucky] == "[Errno 28] No space left on device"
    assert errors[1 - unlucky] == f"worker {unlucky}: OSError: {errors[unlucky]}"
    assert names(store) == ["checkpoint_00020"]


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from conspo_study.files import digest
from conspo_study.update.checkpoint_store import CheckpointStore
store = CheckpointStore(Path(sys.argv[1]), {"config_hash": "abc", "seeds": [0]})

def fill(folder):
    (folder / "model.safetensors").write_text("half of the fi")
    os.kill(os.getpid(), signal.SIGKILL)

store.write(40, fill)
"""


def test_a_writer_killed_between_two_files_costs_only_what_it_wrote(store):
    store.write(20, fill())
    writer = subprocess.run(
        [sys.executable, "-c", KILLED_WRITER, str(store.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert writer.returncode == -signal.SIGKILL
    assert names(store) == ["checkpoint_00020", "checkpoint_00040.partial"]
    found = store.newest()
    assert found.folder.name == "checkpoint_00020"
    assert found.damages == ("checkpoint_00040 was being written when its process died",)
    assert names(store) == ["checkpoint_00020"]


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022])
def test_the_umask_decides_who_may_read_the_weights(store, umask):
    def fill(folder):
        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
        return {}

    before = os.umask(umask)
    try:
        store.write(20, fill)
    finally:
        os.umask(before)
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~umask}
