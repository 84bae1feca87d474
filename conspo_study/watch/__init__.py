"""A local web page of a running or ended study, read-only, from its results directory alone.

Reads records, results, text and files; imports nothing that trains."""

from conspo_study.watch.server import PORT, make_server, serve

__all__ = ["PORT", "make_server", "serve"]
