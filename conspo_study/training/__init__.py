"""A trial: a pure function of its configuration and seeds. `loop.py` reads top to bottom."""
