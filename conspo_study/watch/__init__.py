"""A local web page of a study, live or ended, from its results directory alone. It only reads."""

from conspo_study.watch.server import PORT, make_server, serve

__all__ = ["PORT", "make_server", "serve"]
