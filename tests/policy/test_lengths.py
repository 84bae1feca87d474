"""The longest sequence of a model follows from what its architecture says of positions."""

import pytest
import transformers
from model_folders import STRANGERS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from conspo_study.policy.embedded import embedded_config
from conspo_study.policy.lengths import longest_sequence


def llama(kind, positions=128, **settings):
    rope = {"rope_type": kind, "rope_theta": 1e4, **settings}
    return transformers.LlamaConfig(max_position_embeddings=positions, rope_parameters=rope)


def test_the_embedded_model_has_its_positions():
    assert longest_sequence(embedded_config()).tokens == 256


@pytest.mark.parametrize("family", sorted(STRANGERS.keys() - {"bloom", "falcon", "mpt"}))
def test_families_name_their_positions_in_different_ways(family):
    assert longest_sequence(CONFIG_MAPPING[family](**STRANGERS[family])).tokens == 128


def test_linear_biases_have_no_limit_unless_they_are_made_up_to_one():
    assert longest_sequence(transformers.BloomConfig()) is None
    assert longest_sequence(transformers.MptConfig(max_seq_len=96)).tokens == 96


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (llama("linear", factor=4.0), 512),
        (llama("yarn", factor=4.0, original_max_position_embeddings=128), 512),
        (llama("yarn", 512, factor=4.0, original_max_position_embeddings=128), 512),
        (llama("llama3", 512, factor=8.0, original_max_position_embeddings=64,
               low_freq_factor=1.0, high_freq_factor=4.0), 512),
        (llama("dynamic", factor=4.0), 128),
    ],
)  # fmt: skip
def test_scaling_that_extends_the_limit_counts(config, limit):
    assert longest_sequence(config).tokens == limit


def test_a_rotary_embedding_that_changes_with_the_batch_ends_where_it_begins_to():
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = transformers.Phi3Config(
        hidden_size=32,
        num_attention_heads=4,
        max_position_embeddings=512,
        original_max_position_embeddings=64,
        pad_token_id=0,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, **factors},
    )
    limit = longest_sequence(config)
    assert limit.tokens == 64 and "longrope" in limit.why


def test_kinds_of_layers_may_have_rotary_embeddings_of_their_own():
    ropes = {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    config = transformers.Gemma3TextConfig(max_position_embeddings=1024, rope_parameters=ropes)
    assert longest_sequence(config).tokens == 1024
