"""Exit statuses, of study scripts and of `conspo` alike."""

OK = 0
"""Done, or nothing to do."""
NO_RESULT = 1
"""No trial finished, or the study had to stop (disk full, taken over)."""
BAD_INPUT = 2
"""Nothing was run."""
INTERRUPTED = 130
"""Ctrl-C before anything ran; a running study gives 128 plus the number of the signal."""
