"""Samples responses and forms the groups that the objective compares."""
