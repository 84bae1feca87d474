"""How far two right computations of the same numbers may lie apart, on any machine.

Kernels of other CPUs, other numbers of threads and other batches add the same products in another
order, so their sums differ by rounding. How much follows from the type, from how much is added and
from the size of the numbers, never from what one machine gave. What is exact by claim is compared
in float64 (`exact_models`), where mistakes stand out by ten orders of magnitude.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SAFETY = 4.0
"""The largest of some ten thousand differences, in typical ones."""


def typical(terms: float, size: float, dtype: torch.dtype = torch.float32) -> float:
    """A typical difference of numbers of at most `size` that sums of `terms` terms have led to.

    A result is rounded by up to eps / 2 of its size, with either sign. n roundings one after the
    other add up, as independent errors do, to sqrt(n) eps / 2, and two computations differ by up to
    twice that. Sums that follow one another, as layers do, count with the sum of their lengths:
    each passes on the relative error of what it is given and adds its own. Products in bfloat16
    are summed in float32 and then rounded: each counts as one term.
    """
    return float(terms**0.5 * torch.finfo(dtype).eps * size)


def rounding(terms: float, size: float, dtype: torch.dtype = torch.float32) -> float:
    """The largest difference of many such numbers."""
    return SAFETY * typical(terms, size, dtype)


def terms_of(model: Any, tokens: int) -> int:
    """Terms of the sums that lie one after another in a pass over a model and back, of a row of
    `tokens` tokens."""
    config = model.config
    heads = config.num_attention_heads * config.head_dim
    attention = config.hidden_size + config.head_dim + tokens + heads
    feed_forward = config.hidden_size + config.intermediate_size
    forward = config.num_hidden_layers * (attention + feed_forward) + config.hidden_size
    return 2 * forward + config.vocab_size + tokens


def assert_same(found: Tensor, expected: Tensor, terms: float, dtype: Any = None) -> None:
    """Raise AssertionError where two computations differ by more than the rounding of `dtype`, by
    default their own, relative to the largest number."""
    size = float(expected.detach().abs().max())
    bound = rounding(terms, size, dtype or expected.dtype)
    torch.testing.assert_close(found, expected, atol=bound, rtol=0)
