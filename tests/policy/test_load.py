import json

import pytest
import torch
from tiny_models import FAMILIES, random_model

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.load import load_policy


def save(folder, model):
    model.save_pretrained(folder)
    embedded_tokenizer().save_pretrained(folder)
    return PolicyConfig(model=str(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_local_folder_of_any_family_loads_in_float32(family, tmp_path):
    model = random_model(family).to(torch.bfloat16)
    loaded, tokenizer = load_policy(save(tmp_path, model))
    assert not loaded.training and tokenizer.eos_token == "<eos>"
    for ours, saved in zip(loaded.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, saved.float())


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a transformers model") as e:
        load_policy(PolicyConfig(model=str(tmp_path / "nowhere")))
    assert "\n" not in str(e.value)


def test_a_damaged_folder_is_one_clear_line(tmp_path):
    config = save(tmp_path, random_model("Llama"))
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="cannot be loaded") as e:
        load_policy(config)
    assert "\n" not in str(e.value)


def test_pickled_weights_are_refused(tmp_path):
    config = save(tmp_path, random_model("Llama"))
    torch.save({}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_policy(config)


def test_code_in_the_folder_is_not_run(tmp_path):
    config = save(tmp_path, random_model("Llama"))
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["model_type"] = "evil"
    settings["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_policy(config)


def test_the_embedded_model_needs_its_warm_start():
    with pytest.raises(ValueError, match="warm start folder"):
        load_policy(PolicyConfig())


def test_logit_scaling_is_refused(tmp_path):
    from transformers import CohereConfig, CohereForCausalLM

    model = CohereForCausalLM(
        CohereConfig(
            vocab_size=62,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            logit_scale=0.25,
        )
    )
    with pytest.raises(ValueError, match="changes its logits"):
        load_policy(save(tmp_path, model))
