"""Random streams of a study, derived from one root seed by name.

Streams derived under different names are independent, and adding a stream never shifts another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def derive_seed(root: int, *names: str | int) -> int:
    """Seed of 63 bits for the stream `names` under `root`.

    >>> derive_seed(0, "rollout", 3) == derive_seed(0, "rollout", 3)
    True
    >>> derive_seed(0, "rollout", 3) == derive_seed(0, "order", 3)
    False
    """
    text = "\x1f".join([str(root), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def parse_seeds(words: Sequence[str]) -> tuple[int, ...]:
    """Parse seeds as they are typed, `0 1 2` or `0,1,2`. Raises ValueError for other text."""
    texts = [text.strip() for word in words for text in word.split(",") if text.strip()]
    for text in texts:
        if not text.removeprefix("-").isdecimal():
            raise ValueError(f"{text!r} is not a whole number: write 0 1 2 or 0,1,2")
    return tuple(map(int, texts))
