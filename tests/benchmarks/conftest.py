"""The benchmarks are scripts that import each other: their folder goes on the path."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
