"""Processes that start, watch, end or outlive others; signals, threads and standard streams.

Floor: above `records` and `text`; nothing here knows a study.
"""
