"""A tokenizer speaks of tokens that the model has, and of its end."""

import pytest
from chat_tokenizers import chat_tokenizer
from model_folders import save_model, stranger
from tiny_models import random_model
from transformers import AutoTokenizer

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.architecture import read_model_config
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.tokenizer import load_tokenizer

POLICY = PolicyConfig()


def load(folder):
    return load_tokenizer(POLICY, folder, read_model_config(POLICY, folder))


def test_tokens_beyond_the_embedding_are_named(tmp_path):
    tokenizer = embedded_tokenizer()
    tokenizer.add_tokens([f"X{i}" for i in range(8)])
    folder = save_model(tmp_path, tokenizer=tokenizer)
    with pytest.raises(PolicyError, match=r"no embedding for: X0, X1, X2 and 5 more .*62"):
        load(folder)


def test_the_tokenizer_of_a_larger_model_is_refused(tmp_path):
    folder = save_model(tmp_path, random_model("Qwen2", vocab_size=100), chat_tokenizer())
    with pytest.raises(PolicyError, match="no embedding for"):
        load(folder)


def test_control_tokens_beyond_the_embedding_do_no_harm_by_being_there(tmp_path):
    tokenizer = embedded_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert len(load(save_model(tmp_path, tokenizer=tokenizer))) == 63


def test_a_padded_embedding_is_fine(tmp_path):
    assert len(load(save_model(tmp_path, random_model("Llama", vocab_size=128)))) == 62


def test_a_tokenizer_that_transformers_makes_up_is_none(tmp_path):
    folder = save_model(tmp_path, stranger("gpt2"))
    for path in folder.glob("*token*"):
        path.unlink()
    assert AutoTokenizer.from_pretrained(folder)("1+1")["input_ids"] == [], "it says nothing of it"
    with pytest.raises(PolicyError, match="empty vocabulary"):
        load(folder)


def test_a_damaged_tokenizer_is_one_line(tmp_path):
    folder = save_model(tmp_path)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(PolicyError, match=r"tokenizer of .* cannot be loaded") as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    tokenizer = embedded_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(PolicyError, match="no end-of-sequence token"):
        load(save_model(tmp_path, tokenizer=tokenizer))
