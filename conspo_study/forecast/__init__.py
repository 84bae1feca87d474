"""Forecast of a study before anything runs: work, time, memory, disk, and detectable differences.

Floor: above `definition` and `policy`; starts nothing and loads no model.
"""
