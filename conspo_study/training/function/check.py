"""The check of a training function before anything starts."""

from __future__ import annotations

import inspect

from conspo_study.plugins import PluginError, load


def check_function(path: str) -> None:
    """Import the function and look at its parameters. Raises PluginError."""
    function = load(path)
    if not callable(function):
        raise PluginError(f"{path} is a {type(function).__name__}, not a function")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a few functions that are not written in Python
        return
    try:
        signature.bind({}, 0, None)
    except TypeError as error:
        raise PluginError(
            f"{path}{signature} cannot be called as a training function: {error}; write "
            "def train(params, seed, trial)"
        ) from None
