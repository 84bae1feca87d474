"""The weights that come with the package are those of the default warm start."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from conspo_study.config import PolicyConfig
from conspo_study.data.arithmetic import demonstrations
from conspo_study.files import digest
from conspo_study.policy import warm_start as module
from conspo_study.policy.embedded import embedded_tokenizer, untrained_model
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.shipped import PATH, ship, shipped_model, shipped_recipe
from conspo_study.policy.warm_start import fingerprint, train
from conspo_study.training.prepare import prepare_policy

ROOT = Path(__file__).resolve().parents[2]
CONFIG = PolicyConfig()
STEPS, SEED = CONFIG.warm_start_steps, CONFIG.warm_start_seed


def loss_of(model):
    """On demonstrations of another seed."""
    tokenizer = embedded_tokenizer()
    pairs = list(demonstrations(99, 512))
    prompts = tokenizer([prompt for prompt, _ in pairs]).input_ids
    texts = [text + tokenizer.eos_token for _, text in pairs]
    responses = tokenizer(texts, add_special_tokens=False).input_ids
    with torch.no_grad():
        return -response_logprobs(model, prompts, responses).mean().item()


def test_they_were_trained_by_the_recipe_as_it_is():
    assert shipped_recipe() == fingerprint(demonstrations, STEPS, SEED), (
        "the warm start's recipe or data changed: run python -m conspo_study.training.prepare"
    )
    assert loss_of(shipped_model()) < 0.35 < 3 < loss_of(untrained_model(SEED))


def test_the_default_policy_is_made_of_them_without_training(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "train", None)
    model, _ = load_policy(CONFIG, prepare_policy(CONFIG))
    shipped = dict(shipped_model().named_parameters())
    assert all(torch.equal(value, shipped[name]) for name, value in model.named_parameters())
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("change", [{"warm_start_steps": 3}, {"warm_start_seed": 1}])
def test_any_other_warm_start_is_trained(tmp_path, monkeypatch, change):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path))

    def trains(*_):
        raise InterruptedError

    monkeypatch.setattr(module, "train", trains)
    with pytest.raises(InterruptedError):
        prepare_policy(CONFIG.model_copy(update=change))


def test_what_is_shipped_is_what_was_trained(tmp_path):
    model = untrained_model(7)
    ship(model, "a recipe", tmp_path / "w.safetensors")
    assert shipped_recipe(tmp_path / "w.safetensors") == "a recipe"
    again = shipped_model(tmp_path / "w.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_weights_of_another_model_are_refused(tmp_path):
    save_file({"lm_head.weight": torch.zeros(2)}, tmp_path / "w.safetensors", {"recipe": ""})
    with pytest.raises(ValueError, match="does not have the parameters"):
        shipped_model(tmp_path / "w.safetensors")


@pytest.mark.slow
def test_training_again_gives_a_model_that_is_as_good():
    again = train(embedded_tokenizer(), demonstrations, STEPS, SEED)
    # Every CPU rounds in its own way: after so many steps this loss differs by some 5 %. Half the
    # steps give 30 % more.
    assert loss_of(again) == pytest.approx(loss_of(shipped_model()), rel=0.2)


def test_the_file_is_the_one_that_the_security_notes_name():
    named = re.search(r"sha256 ([0-9a-f]{64})", (ROOT / "SECURITY.md").read_text("utf-8"))
    assert digest(PATH) == named[1], "it was trained again: name its sha256 in SECURITY.md"
