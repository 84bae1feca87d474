"""Rollouts that were drawn ahead come back from a checkpoint as they were."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from conspo_study.records import FinishStatus, Rollout
from conspo_study.rollout.ahead import load_rollouts, save_rollouts

GROUPS = [
    (
        Rollout((5, 6, 2), (-0.1, -1 / 3, -1e-300), FinishStatus.STOPPED, "x ≤ 2\n", 7),
        Rollout((9,), (-0.0,), FinishStatus.TRUNCATED, "", 8),
    ),
    (Rollout((2,), (-700.25,), FinishStatus.STOPPED, "\ud800 alone, and \x00", 7),),
]


def test_rollouts_come_back_exactly(tmp_path):
    save_rollouts(tmp_path / "ahead.safetensors", GROUPS)
    assert load_rollouts(tmp_path / "ahead.safetensors") == GROUPS


def test_no_rollouts_are_rollouts_too(tmp_path):
    save_rollouts(tmp_path / "ahead.safetensors", [])
    assert load_rollouts(tmp_path / "ahead.safetensors") == []


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("tokens", lambda t: t[:-1]),
        ("texts", lambda t: t[1:]),
        ("group_sizes", lambda t: t + 1),
        ("lengths", lambda t: t + 1),
        ("statuses", lambda t: t[1:]),
        ("statuses", lambda t: t + 40),
        ("weights_versions", lambda t: torch.cat([t, t])),
    ],
)
def test_rollouts_that_are_not_whole_are_refused(tmp_path, column, change):
    path = tmp_path / "ahead.safetensors"
    save_rollouts(path, GROUPS)
    tensors = load_file(path)
    save_file(tensors | {column: change(tensors[column])}, path)
    with pytest.raises(ValueError):
        load_rollouts(path)
