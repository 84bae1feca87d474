import json

import pytest
import torch
from tiny_models import FAMILIES, random_model

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.load import load_policy, restore_policy, save_policy
from conspo_study.policy.packed_attention import PACKED


def save(folder, model):
    model.save_pretrained(folder)
    embedded_tokenizer().save_pretrained(folder)
    return PolicyConfig(model=str(folder)), folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_local_folder_of_any_family_loads_in_float32(family, tmp_path):
    model = random_model(family).to(torch.bfloat16)
    loaded, tokenizer = load_policy(*save(tmp_path, model))
    assert not loaded.training and tokenizer.eos_token == "<eos>"
    for ours, saved in zip(loaded.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, saved.float())


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a transformers model") as e:
        load_policy(PolicyConfig(), tmp_path / "nowhere")
    assert "\n" not in str(e.value)


def test_a_damaged_folder_is_one_clear_line(tmp_path):
    config, folder = save(tmp_path, random_model("Llama"))
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a safetensors file") as e:
        load_policy(config, folder)
    assert "\n" not in str(e.value)


def test_pickled_weights_are_refused(tmp_path):
    config, folder = save(tmp_path, random_model("Llama"))
    torch.save({}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="pickles"):
        load_policy(config, folder)


def test_code_in_the_folder_is_not_run(tmp_path):
    config, folder = save(tmp_path, random_model("Llama"))
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["model_type"] = "evil"
    settings["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ValueError, match=r"'evil': .*policy\.trust_remote_code"):
        load_policy(config, folder)


CODE = """
from pathlib import Path
from transformers import LlamaForCausalLM

Path({mark!r}).touch()

class Own(LlamaForCausalLM):
    remarkable = True
"""


def with_code(folder):
    """A Llama whose class is in a file of the folder, and what that leaves when it runs."""
    config, _ = save(folder, random_model("Llama"))
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModelForCausalLM": "own.Own"}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(CODE.format(mark=str(folder / "ran")))
    return config, folder / "ran"


def test_code_of_the_model_runs_only_when_it_is_trusted(tmp_path, monkeypatch):
    cache = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    folder = tmp_path / "model"
    config, ran = with_code(folder)
    model, _ = load_policy(config, folder)
    assert not ran.exists() and not hasattr(model, "remarkable")
    model, tokenizer = load_policy(config.model_copy(update={"trust_remote_code": True}), folder)
    assert ran.exists() and model.remarkable
    (tmp_path / "saved").mkdir()
    save_policy(model, tokenizer, tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("**/*.py")), "checkpoints hold no code"


@pytest.mark.parametrize(("attention", "function"), [("sdpa", PACKED), ("eager", "eager")])
def test_the_attention_is_the_configured_one(attention, function, tmp_path):
    config, folder = save(tmp_path, random_model("Qwen2"))
    model, _ = load_policy(config.model_copy(update={"attention": attention}), folder)
    assert model.config._attn_implementation == function


def test_a_policy_restores_what_it_saved(tmp_path):
    config, folder = save(tmp_path, random_model("Qwen3"))
    model, tokenizer = load_policy(config, folder)
    (tmp_path / "saved").mkdir()
    save_policy(model, tokenizer, tmp_path / "saved")
    other, _ = load_policy(config, folder)
    with torch.no_grad():
        other.model.norm.weight.zero_()
    restore_policy(other, tmp_path / "saved")
    assert torch.equal(other.model.norm.weight, model.model.norm.weight)
