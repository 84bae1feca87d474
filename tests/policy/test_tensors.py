"""No tensor of a policy is random because a file lacks it, whatever transformers calls it."""

import re
import shlex
import subprocess
import sys

import pytest
import torch
from model_folders import EAGER, STRANGERS, edit_config, edit_weights, save_model, stranger
from safetensors.torch import load_file, save_file
from tiny_models import random_model

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.architecture import empty_model, read_model_config
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.load import load_policy
from conspo_study.policy.tensors import first_nonfinite, header_problems

POLICY = PolicyConfig()


def by_headers(folder, policy=POLICY):
    return header_problems(empty_model(policy, read_model_config(policy, folder), folder), folder)


def refused(folder, pattern):
    """The folder is refused in one line that matches, by its headers and when it is loaded."""
    (problem,) = by_headers(folder)
    assert re.search(pattern, problem) and "\n" not in problem and str(folder) in problem
    with pytest.raises(PolicyError, match=pattern):
        load_policy(POLICY, folder)


def without(*parts):
    return lambda w: {k: v for k, v in w.items() if not any(part in k for part in parts)}


def renamed(old, new):
    return lambda w: {k.replace(old, new): v for k, v in w.items()}


def prefixed(prefix):
    return lambda w: {prefix + k: v for k, v in w.items()}


@pytest.mark.parametrize("family", STRANGERS)
def test_a_sound_model_of_any_family_has_all_its_tensors(family, tmp_path):
    policy = PolicyConfig(attention="eager" if family in EAGER else "sdpa")
    folder = save_model(tmp_path, stranger(family))
    assert by_headers(folder, policy) == []
    load_policy(policy, folder)


@pytest.mark.parametrize("size", [None, "20KB"])
def test_missing_tensors_are_named_and_counted(size, tmp_path):
    folder = save_model(tmp_path, **({"max_shard_size": size} if size else {}))
    for path in folder.glob("*.safetensors"):
        kept = {k: v.clone() for k, v in load_file(path).items() if "layers.1.mlp" not in k}
        save_file(kept or {"other": torch.zeros(1)}, path, metadata={"format": "pt"})
    refused(
        folder,
        r"3 of the model's 21 tensors are missing \(model\.layers\.1\.mlp\.down_proj\.weight, .*"
        r"random, different in every seed",
    )


@pytest.mark.parametrize("family", ["gpt2", "gemma", "falcon", "gpt_neox"])
def test_one_missing_tensor_of_another_family_is_named(family, tmp_path):
    folder = save_model(tmp_path, stranger(family))
    name = next(k for k in sorted(load_file(folder / "model.safetensors")) if ".1." in k)
    edit_weights(folder, without(name))
    refused(folder, rf"1 of the model's \d+ tensors are missing \({name}\)")


def test_a_missing_expert_is_noticed_although_transformers_fuses_them(tmp_path):
    folder = save_model(tmp_path, stranger("mixtral"))
    experts = [k for k in load_file(folder / "model.safetensors") if ".experts.3." in k]
    assert experts, "the files hold experts one by one"
    edit_weights(folder, without(*experts))
    assert by_headers(folder)
    with pytest.raises(PolicyError):
        load_policy(POLICY, folder)


def test_an_output_head_that_is_not_tied_must_be_there(tmp_path):
    folder = save_model(tmp_path)
    edit_weights(folder, without("lm_head"))
    refused(folder, r"1 of the model's 21 tensors are missing \(lm_head\.weight\)")
    edit_config(folder, tie_word_embeddings=True)
    assert by_headers(folder) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (prefixed("module."), "module."),
        (prefixed("base_model.model."), "base_model.model."),
        (prefixed("_orig_mod."), "_orig_mod."),
        (prefixed("language_model."), "language_model."),
        (renamed("model.layers", "model._orig_mod.layers"), "_orig_mod."),
        (renamed(".self_attn", "._checkpoint_wrapped_module.self_attn"), "_checkpoint_wrapped"),
    ],
)
def test_names_that_a_wrapper_changed_are_told_with_the_command_that_mends_them(
    change, part, tmp_path, monkeypatch
):
    model = random_model("Llama", tie_word_embeddings=True)
    folder = save_model(tmp_path, model)
    edit_weights(folder, change)
    refused(folder, rf"tensors are missing and would be random.*'{part}.*python -c")
    (code,) = shlex.split(by_headers(folder)[0].partition("python -c ")[2])
    monkeypatch.chdir(folder)
    exec(code, {})
    loaded, _ = load_policy(POLICY, folder)
    for ours, saved in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, saved)


def test_the_command_that_mends_names_is_one_of_a_shell(tmp_path):
    folder = save_model(tmp_path)
    edit_weights(folder, prefixed("module."))
    command = by_headers(folder)[0].partition("python -c ")[2]
    subprocess.run(f"{sys.executable} -c {command}", shell=True, check=True, cwd=folder)
    assert by_headers(folder) == []


def test_tensors_that_the_model_does_not_have_are_left_alone(tmp_path):
    folder = save_model(tmp_path)
    edit_weights(folder, lambda w: w | {"value_head.weight": torch.zeros(1, 32)})
    assert by_headers(folder) == []
    load_policy(POLICY, folder)


def test_shapes_that_differ_from_the_configuration_are_told(tmp_path):
    folder = save_model(tmp_path)
    edit_config(folder, intermediate_size=64)
    refused(folder, r"down_proj\.weight is \[32, 48\] in the weights and \[32, 64\] .*of 6 such")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_told_by_their_tensor(value, tmp_path):
    folder = save_model(tmp_path)

    def spoil(weights):
        weights["model.layers.1.mlp.up_proj.weight"][2, 3] = value
        return weights

    edit_weights(folder, spoil)
    with pytest.raises(PolicyError, match=r"not finite: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_policy(POLICY, folder)


def test_numbers_of_any_kind_and_size_are_finite():
    numbers = {
        "none": torch.zeros(0),
        "whole": torch.ones(2, dtype=torch.int64),
        "large": torch.tensor([3e38, -3e38]),
        "half": torch.tensor([65504.0], dtype=torch.float16),
    }
    assert first_nonfinite(numbers.items()) is None
