"""Stages of `gpu_check.py`: each takes a `Place` and returns its numbers and what is wrong."""
