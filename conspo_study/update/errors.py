"""Errors of a training run, without anything heavy, for processes that only tell them apart."""


class DivergedError(RuntimeError):
    """Training cannot go on: gradients stayed non-finite."""


class NoContrastError(RuntimeError):
    """Training cannot go on: the policy's answers give nothing to learn from."""


class MismatchError(RuntimeError):
    """Training cannot begin: sampler and trainer compute different things from the same weights."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used: it belongs to another run, or does not fit this one."""


class CheckpointDamaged(CheckpointError):
    """The files of a checkpoint are not those that were written."""
