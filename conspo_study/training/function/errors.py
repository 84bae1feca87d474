"""Errors of a training function, and of how it is used."""

from __future__ import annotations


class FunctionError(RuntimeError):
    """A training function failed, or did not keep to its contract; the message is the cause.

    A restart from its checkpoint would only fail again.
    """


class CallDied(RuntimeError):
    """The process of a call ended without a word, as one that was killed does."""
