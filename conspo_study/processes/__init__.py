"""Processes that outlive, end, watch or start others, and their standard streams."""
