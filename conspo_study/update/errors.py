"""What can be wrong with a training run, to be told apart by those who load nothing else of it."""


class DivergedError(RuntimeError):
    """Training cannot go on: gradients stayed non-finite."""


class NoContrastError(RuntimeError):
    """Training cannot go on: the policy's answers give nothing to learn from."""


class MismatchError(RuntimeError):
    """Training cannot begin: sampler and trainer compute different things from the same weights."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used: it belongs to another run, or does not fit this one."""


class CheckpointDamaged(CheckpointError):
    """A checkpoint is not what was written."""
