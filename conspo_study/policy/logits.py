"""The number of logits computed at once."""

CHUNK_ELEMENTS = 1 << 25
"""Maximum number of logits (tokens x vocabulary) computed at once: 128 MiB in float32. Two or three
tensors of that size exist at the peak."""
