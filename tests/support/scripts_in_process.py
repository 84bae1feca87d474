"""Scripts of studies, run as `python SCRIPT ARGUMENT...` would in the process of a test."""

import runpy
import sys
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How a script ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_script(monkeypatch, capsys):
    """A function that runs a script, without the seconds in which a process imports libraries."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(script), run_name="__main__")
            status = 0
        except SystemExit as leaving:
            status = leaving.code or 0
        return Ended(status, *capsys.readouterr())

    return run
