"""A study in a terminal or a notebook: while it runs, its status afterwards, what to type next."""
