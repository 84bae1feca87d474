import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conspo_study.data.arithmetic import demonstrations
from conspo_study.policy.embedded import VOCABULARY, embedded_tokenizer, untrained_model


def test_the_model_has_the_documented_size():
    assert sum(parameter.numel() for parameter in untrained_model(0).parameters()) == 110_784
    assert len(embedded_tokenizer()) == len(set(VOCABULARY)) == 62


def test_every_demonstration_survives_the_tokenizer():
    tokenizer = embedded_tokenizer()
    for prompt, response in demonstrations(0, 200):
        tokens = tokenizer(prompt).input_ids
        assert tokens[0] == tokenizer.bos_token_id
        assert tokenizer.decode(tokens, skip_special_tokens=True) == prompt
        tokens = tokenizer(response + tokenizer.eos_token, add_special_tokens=False).input_ids
        assert tokens[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(tokens, skip_special_tokens=True) == response


def test_numbers_are_single_tokens():
    tokens = embedded_tokenizer()("50-7", add_special_tokens=False).input_ids
    assert [VOCABULARY[token] for token in tokens] == ["50", "-", "7"]


def test_text_outside_the_vocabulary_raises_instead_of_being_dropped():
    for text in ("51", "x", "1 + 1"):
        with pytest.raises(Exception, match="UNK"):
            embedded_tokenizer()(text)


def test_both_survive_saving_and_loading(tmp_path):
    model, tokenizer = untrained_model(1).eval(), embedded_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokenizer_again = AutoTokenizer.from_pretrained(tmp_path)
    text = "7+5-3+8=?\n"
    assert tokenizer_again(text).input_ids == tokenizer(text).input_ids
    assert tokenizer_again.eos_token_id == tokenizer.eos_token_id == 2
    assert tokenizer_again.decode([15, 7, 11, 16], skip_special_tokens=True) == "4=0" + "5"
    tokens = torch.tensor([tokenizer(text).input_ids])
    assert torch.equal(model(tokens).logits, again(tokens).logits)


def test_initialisation_depends_on_its_seed_and_leaves_the_callers_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = untrained_model(0), untrained_model(1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.lm_head.weight, untrained_model(0).lm_head.weight)
    assert not torch.equal(first.lm_head.weight, second.lm_head.weight)
