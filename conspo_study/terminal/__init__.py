"""A study in a terminal or a notebook: its progress while it runs, its status at any time.

Floor: beside training and search; reads records and results, and draws with rich.
"""
