"""A response ends with any of the tokens that the model's makers say end one."""

from types import SimpleNamespace

import pytest
from tiny_models import random_model

from conspo_study.policy.stop import stop_ids

TOKENIZER = SimpleNamespace(eos_token_id=2)


@pytest.mark.parametrize(
    ("named", "expected"),
    [(None, (2,)), (2, (2,)), (7, (2, 7)), ([9, 2, 7, 9], (2, 9, 7)), ([], (2,))],
)
def test_the_generation_configuration_adds_to_the_tokenizers_end(named, expected):
    model = random_model("Llama")
    model.generation_config.eos_token_id = named
    assert stop_ids(model, TOKENIZER) == expected


def test_a_model_without_generation_configuration_has_the_tokenizers_end():
    model = SimpleNamespace(config=random_model("Llama").config)
    assert stop_ids(model, TOKENIZER) == (2,)


@pytest.mark.parametrize("wrong", [-1, 62])
def test_a_stop_token_that_cannot_be_is_refused(wrong):
    model = random_model("Llama")
    model.generation_config.eos_token_id = [2, wrong]
    with pytest.raises(ValueError, match=rf"stop tokens \[{wrong}\] are outside"):
        stop_ids(model, TOKENIZER)
