"""From token weights to an optimiser step, and to a checkpoint."""
