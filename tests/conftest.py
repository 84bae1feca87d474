"""Settings every test shares: one thread, no hub, no figures on a screen."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

sys.path.insert(0, str(Path(__file__).parent / "support"))
pytest_plugins = ["foreign_modules"]


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory):
    """The folder of an embedded policy with a very short warm start."""
    from conspo_study.config import PolicyConfig
    from conspo_study.training.prepare import prepare_policy

    patch = pytest.MonkeyPatch()
    patch.setenv("CONSPO_STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
    try:
        return prepare_policy(PolicyConfig(warm_start_steps=150))
    finally:
        patch.undo()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_policy):
    """An undisturbed run of two seeds over four steps."""
    from training_runs import run

    return run(tmp_path_factory.mktemp("whole"), tiny_policy)
