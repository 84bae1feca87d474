"""Settings every test shares: one thread, no hub, no figures on a screen."""

import gc
import os
import sqlite3
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

sys.path.insert(0, str(Path(__file__).parent / "support"))
pytest_plugins = ["foreign_modules", "scripts_in_process"]


_FSYNC = os.fsync

gc.disable()  # until all tests are collected: nothing of what is imported for them goes away


def pytest_collection_finish(session):
    """Leaves modules and tests, which stay, out of all later garbage collections."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Processes for `-n auto`: one more than usable cores, since tests wait for other processes and
    deadlines; one per 3 GiB of memory, at most eight."""
    from conspo_study.machine import usable_cores, usable_memory

    return max(1, min(usable_cores() + 1, usable_memory() // (3 << 30), 8))


@pytest.fixture(scope="session", autouse=True)
def unflushed():
    """What this process writes is not forced onto the disk, which makes no difference without a
    power cut; tests of one say themselves what is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(sqlite3.dbapi2, "connect", _connect)
        yield


@pytest.fixture
def flushing(monkeypatch):
    """Forces onto the disk what this process and its forks write, for tests that watch it take its
    time."""
    monkeypatch.setattr(os, "fsync", _FSYNC)


def _connect(*arguments, **options):
    connection = sqlite3.connect(*arguments, **options)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


@pytest.fixture(scope="session")
def tiny_policy(request, tmp_path_factory):
    """The folder of an embedded policy with a very short warm start, trained once per test run."""
    from conspo_study.config import PolicyConfig
    from conspo_study.training.prepare import prepare_policy

    run_folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # each process of pytest-xdist has a folder in it
        run_folder = run_folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSPO_STUDY_CACHE", str(run_folder / "cache"))
        return prepare_policy(PolicyConfig(warm_start_steps=150))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_policy):
    """An undisturbed run of two seeds over four steps."""
    from training_runs import run

    return run(tmp_path_factory.mktemp("whole"), tiny_policy)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """An undisturbed margin sweep in miniature, run to its end on a Ray of its own."""
    from studies_under_fire import Sweep

    return Sweep.run(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="session")
def shared_ray():
    """Environment variables of a study that runs on the Ray that tests share."""
    from shared_ray import started_ray

    with started_ray() as variables:
        yield variables
