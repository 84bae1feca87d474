import pytest
import torch
from tiny_models import random_model
from tolerances import assert_same, terms_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from conspo_study.policy import logprobs
from conspo_study.policy.logprobs import response_logprobs

PROMPTS = [[1, 5, 9], [1, 7], [1, 11, 12, 13, 14]]
RESPONSES = [[20, 21, 2], [30], [40, 41, 42, 43, 44, 45, 2]]


def plain_logprobs(model, prompt, response, temperature):
    """The definition: one row, no padding, the model's own logits."""
    logits = model(torch.tensor([prompt + response])).logits[0] / temperature
    logp = torch.log_softmax(logits, dim=-1)
    return torch.stack([logp[len(prompt) - 1 + t, token] for t, token in enumerate(response)])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_equal_a_plain_forward_pass_in_rollout_order(model, temperature):
    scores = response_logprobs(model, PROMPTS, RESPONSES, temperature)
    expected = torch.cat(
        [plain_logprobs(model, p, r, temperature) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    )
    assert scores.shape == (11,)
    assert_same(scores, expected, terms_of(model, 12))


def test_gradients_equal_those_of_a_plain_forward_pass(model):
    weight = torch.linspace(-1, 1, 11, dtype=torch.float64)
    parameters = [p for p in model.parameters() if p.requires_grad]
    ours = torch.autograd.grad(response_logprobs(model, PROMPTS, RESPONSES) @ weight, parameters)
    plain = torch.cat(
        [plain_logprobs(model, p, r, 1.0) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    )
    for a, b in zip(ours, torch.autograd.grad(plain @ weight, parameters), strict=True):
        assert_same(a, b, terms_of(model, 12))


def test_chunking_the_vocabulary_changes_neither_scores_nor_gradients(model, monkeypatch):
    def scored():
        scores = response_logprobs(model, PROMPTS, RESPONSES)
        return scores.detach(), torch.autograd.grad(scores.sum(), model.lm_head.weight)[0]

    whole = scored()
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 3 * 62)
    for a, b in zip(scored(), whole, strict=True):
        assert_same(a, b, terms_of(model, 12))


class LargestTensor(TorchDispatchMode):
    """Remembers how many elements the largest tensor had that any operation made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


@pytest.mark.parametrize("rows", [4, 32])
def test_no_tensor_of_all_tokens_times_the_vocabulary_is_ever_made(rows, monkeypatch):
    vocabulary, chunk = 5000, 20 * 5000
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", chunk)
    model = random_model("Llama", vocab_size=vocabulary, hidden_size=8, tie_word_embeddings=True)
    responses = [[7] * 20] * rows
    with LargestTensor() as largest:
        response_logprobs(model, [[1, 5]] * rows, responses).sum().backward()
    assert largest.elements == chunk  # logits of a chunk, and whatever the number of tokens
    with LargestTensor() as largest:
        model(torch.tensor([[1, 5, *response] for response in responses]))
    assert largest.elements > rows * chunk
