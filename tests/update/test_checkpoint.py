"""A checkpoint is whole and ours, or it is refused with the reason."""

import json
import pickle
from functools import partial

import pytest
import torch
from tiny_models import random_model

from conspo_study.config import UpdateConfig
from conspo_study.policy.load import restore_policy
from conspo_study.update.checkpoint import (
    CheckpointDamaged,
    CheckpointError,
    load_run,
    open_checkpoint,
    save_run,
    seal,
)
from conspo_study.update.step import Updater
from conspo_study.update.world import World

IDENTITY = {"config_hash": "abc", "seeds": [0]}


@pytest.fixture
def saved(tmp_path):
    model = random_model("Llama")
    updater = Updater(model, UpdateConfig(), World())
    for parameter in updater.parameters:
        parameter.grad = torch.ones_like(parameter)
    updater.step()
    folder = tmp_path / "step-00001"
    counters = save_run(folder / "seed-0", model.save_pretrained, updater)
    seal(folder, {"step": 1, "runs": {"0": counters}, **IDENTITY})
    return folder, model, updater


def test_everything_comes_back(saved):
    folder, model, updater = saved
    state = open_checkpoint(folder, IDENTITY)
    assert state["step"] == 1
    other = random_model("Llama", seed=5)
    fresh = Updater(other, UpdateConfig(), World())
    load_run(folder / "seed-0", partial(restore_policy, other), fresh, state["runs"]["0"])
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
    moments = fresh.state_tensors()
    assert moments.keys() == updater.state_tensors().keys()
    assert all(torch.equal(moments[k], v) for k, v in updater.state_tensors().items())
    assert fresh.applied == 1


def test_only_safetensors_and_json_are_written(saved):
    folder, _, _ = saved
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json"}


@pytest.mark.parametrize(
    "victim", ["seed-0/model.safetensors", "seed-0/optimizer.safetensors", "state.json"]
)
def test_a_flipped_byte_is_found(saved, victim):
    folder, _, _ = saved
    data = bytearray((folder / victim).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / victim).write_bytes(data)
    with pytest.raises(CheckpointDamaged, match=victim.rpartition("/")[2]):
        open_checkpoint(folder, IDENTITY)


@pytest.mark.parametrize("victim", ["seed-0/model.safetensors", "state.json", "manifest.json"])
def test_a_missing_file_is_found(saved, victim):
    folder, _, _ = saved
    (folder / victim).unlink()
    with pytest.raises(CheckpointDamaged):
        open_checkpoint(folder, IDENTITY)


def test_a_file_that_the_manifest_does_not_list_is_refused(saved):
    folder, _, _ = saved
    (folder / "seed-0" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointDamaged, match=r"pytorch_model\.bin"):
        open_checkpoint(folder, IDENTITY)


def seal_again(folder):
    """As one would who wants a changed checkpoint to be believed."""
    (folder / "manifest.json").unlink()
    seal(folder, {"step": 1, "runs": {}, **IDENTITY})


def test_a_pickle_is_refused_by_its_type_although_the_manifest_lists_it(saved):
    folder, _, _ = saved
    proof = folder.parent / "executed"

    class Payload:
        def __reduce__(self):
            return proof.touch, ()

    (folder / "seed-0" / "optimizer.pt").write_bytes(pickle.dumps(Payload()))
    seal_again(folder)
    with pytest.raises(CheckpointDamaged, match=r"optimizer\.pt has a type that does not belong"):
        open_checkpoint(folder, IDENTITY)
    assert not proof.exists()


def test_a_pickle_in_the_place_of_weights_is_never_executed(saved):
    folder, model, updater = saved
    proof = folder.parent / "executed"

    class Payload:
        def __reduce__(self):
            return proof.touch, ()

    (folder / "seed-0" / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    seal_again(folder)
    open_checkpoint(folder, IDENTITY)
    with pytest.raises(CheckpointError, match="cannot be restored"):
        load_run(
            folder / "seed-0",
            partial(restore_policy, model),
            updater,
            {"applied": 1, "skipped_in_a_row": 0},
        )
    assert not proof.exists()


@pytest.mark.parametrize("in_its_place", [True, False])
def test_a_link_is_not_followed_and_not_overlooked(saved, in_its_place):
    folder, _, _ = saved
    weights = folder / "seed-0" / "model.safetensors"
    elsewhere = folder.parent / "elsewhere.safetensors"
    if in_its_place:
        weights.rename(elsewhere)
        weights.symlink_to(elsewhere)
    else:
        (folder / "seed-0" / "other_model.safetensors").symlink_to(weights)
    with pytest.raises(CheckpointDamaged, match=r"model\.safetensors"):
        open_checkpoint(folder, IDENTITY)


def test_a_manifest_cannot_point_outside_of_the_checkpoint(saved):
    folder, _, _ = saved
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["../../etc/passwd"] = "0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="missing, damaged or not in the manifest"):
        open_checkpoint(folder, IDENTITY)


@pytest.mark.parametrize(("key", "value"), [("config_hash", "xyz"), ("seeds", [1])])
def test_a_checkpoint_of_another_run_is_refused_by_name(saved, key, value):
    folder, _, _ = saved
    with pytest.raises(CheckpointError, match=f"its {key} is"):
        open_checkpoint(folder, {**IDENTITY, key: value})


def test_weights_of_another_model_are_refused(saved):
    folder, _, _ = saved
    other = random_model("Qwen2")
    with pytest.raises(CheckpointError, match="cannot be restored"):
        load_run(
            folder / "seed-0",
            partial(restore_policy, other),
            Updater(other, UpdateConfig(), World()),
            {"applied": 1, "skipped_in_a_row": 0},
        )
