"""Names and shapes of the tensors that a policy sends."""

from __future__ import annotations

from conspo_study.rollout.engine import PolicyWeights

Shapes = list[tuple[str, tuple[int, ...]]]


class KnownShapes:
    """Remembers them by policy: they never change, and to iterate over the tensors may take merging
    adapters into each."""

    def __init__(self) -> None:
        self._known: dict[str, Shapes] = {}

    def of(self, weights: PolicyWeights) -> Shapes:
        """Names and shapes, in the order in which `weights` gives the tensors."""
        if weights.policy not in self._known:
            self._known[weights.policy] = [
                (name, tuple(tensor.shape)) for name, tensor in weights.tensors()
            ]
        return self._known[weights.policy]
