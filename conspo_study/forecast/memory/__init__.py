"""Memory that one worker of a trial needs, with its arithmetic, before anything is loaded, and
whether a GPU has it.

An upper estimate: prompts and responses are as long as their limits allow. The seeds of a trial
advance together, so the weights and the optimiser state of all of them are in memory at once;
gradients, activations and caches only those of one seed at a time.
"""

from conspo_study.forecast.memory.estimate import estimate_memory
from conspo_study.forecast.memory.items import IN_MEMORY, ON_GPU, PROCESS_BYTES, Item, Memory

__all__ = ["IN_MEMORY", "ON_GPU", "PROCESS_BYTES", "Item", "Memory", "estimate_memory"]
