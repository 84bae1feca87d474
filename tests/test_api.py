"""The names that a study file or a notebook begins with."""

import subprocess
import sys
from pathlib import Path

import pytest

import conspo_study
from conspo_study.definition import Aim, Anchor, Confirmation, EarlyStopping, Sampler

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", conspo_study.__all__)
def test_every_name_is_there(name):
    assert name in dir(conspo_study)
    assert getattr(conspo_study, name).__doc__


def test_every_part_of_a_study_is_there():
    """What the fields of a study are made of can be imported with it."""
    parts = {kind.__name__ for kind in (Aim, Anchor, Confirmation, EarlyStopping, Sampler)}
    assert parts | {"Choice", "Range", "When", "Study", "main"} <= {*conspo_study.__all__}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Stduy'"):
        _ = conspo_study.Stduy


def test_declaring_and_loading_need_neither_ray_nor_torch():
    code = (
        "import sys; from conspo_study import Anchor, Choice, Study, load, main;"
        "print(*sorted({'ray', 'torch', 'transformers', 'optuna', 'IPython'} & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.split() == []


def test_load_reads_a_results_directory():
    results = conspo_study.load(ROOT / "tests" / "assets" / "results_v2")
    assert results.best.id == "t0003"
