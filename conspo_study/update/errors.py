"""Errors of a training run, without anything heavy, for processes that only tell them apart."""


class DivergedError(RuntimeError):
    """Training cannot go on: gradients stayed non-finite."""


class NoContrastError(RuntimeError):
    """Training cannot go on: the policy's answers give nothing to learn from."""


class NonFiniteLogitsError(RuntimeError):
    """Training cannot go on: the policy's logits are non-finite. Raised on all workers."""


COLLAPSES: dict[type[Exception], str] = {
    DivergedError: "diverged",
    NonFiniteLogitsError: "diverged",
    NoContrastError: "no contrast",
}
"""Errors by which training itself ends, and the word that begins the cause of each. After the first
optimiser step they are a result; see `training.collapse`."""


class MismatchError(RuntimeError):
    """Training cannot begin: sampler and trainer compute different things from the same weights."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used: it belongs to another run, or does not fit this one."""


class CheckpointDamaged(CheckpointError):
    """The files of a checkpoint are not those that were written."""
