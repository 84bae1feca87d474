"""Every decoder of transformers is trained and sampled as it computes, or refused."""

import re
from pathlib import Path

import pytest
from decoder_families import FAMILIES, UNTRIED, disagreements, loaded, tiny, way

from conspo_study.policy.errors import PolicyError
from conspo_study.policy.packed_attention import can_pack
from conspo_study.rollout.decodable import Way

CLOSE = {"trainer": 1e-3, "gradient": 1e-3, "sampler": 1e-3}
"""Rounding in float32 is a hundredth of this; a wrong mask or position is a thousand times more."""
SAMPLE = {
    # family: whether rollouts are packed, and the way to decode it
    "mistral": (True, Way.OWN_MASKS),
    "phimoe": (False, Way.OWN_MASKS),
    "nemotron": (False, Way.ONE_MASK),
    "gemma2": (False, Way.OWN_MASKS),
    "gemma3_text": (True, Way.OWN_MASKS),
    "cohere2": (True, Way.OWN_MASKS),
    "granite": (True, Way.ONE_MASK),
    "minicpm3": (True, Way.ONE_MASK),
    "gpt_oss": (False, Way.OWN_MASKS),
    "llama4_text": (False, Way.OWN_MASKS),
    "qwen3_5_text": (False, Way.OWN_CACHE),
    "lfm2_moe": (False, Way.OWN_CACHE),
    "deepseek_v3": (True, Way.ONE_MASK),
    "mamba": (False, Way.REREAD),
}
DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize("family", SAMPLE)
def test_kinds_of_decoders_are_trained_and_sampled_as_they_compute(family, tmp_path):
    model = loaded(tiny(family), tmp_path)
    assert (can_pack(model), way(model)) == SAMPLE[family]
    reference = tiny(family)
    reference.set_attn_implementation("eager")
    for name, difference in disagreements(model, reference).items():
        assert difference < CLOSE[name], name


@pytest.mark.slow
def test_every_decoder_is_right_or_refused(tmp_path):
    """And the document says which is which."""
    verdicts = {}
    for family in FAMILIES:
        if family not in UNTRIED:
            verdicts[family] = verdict(family, tmp_path / family)
    wrong = {family: found for family, found in verdicts.items() if not isinstance(found, str)}
    assert wrong == {}
    told = dict(
        re.findall(r"^\| (\w+|refused|not tried) \| \d+ \| (.*) \|$", DOCUMENT.read_text(), re.M)
    )
    for name in {*told, *verdicts.values()}:
        assert told[name].split(", ") == sorted(f for f, found in verdicts.items() if found == name)


def verdict(family, folder):
    """The name of the way to decode a family, `refused`, or what differs and by how much."""
    try:
        model = loaded(tiny(family), folder)
    except PolicyError:
        return "refused"
    reference = tiny(family)
    reference.set_attn_implementation("eager")
    found = disagreements(model, reference)
    wrong = {name: by for name, by in found.items() if not by < CLOSE[name]}
    return wrong or way(model).name.lower()
