"""The verb that compares speeds with a recorded baseline."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import conspo_study
from conspo_study.commands.options import Flag
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True)
class Bench(Verb):
    """Compare the speed of this checkout with a recorded baseline.

    Ratios within one run, to matrix products, generate, math-verify and others, so that they hold
    on a busy machine. Takes some two minutes.
    """

    check: Flag = False
    """End with status 1 where something became slower."""
    record: Flag = False
    """Make this run the baseline of machines of this kind."""

    def run(self, console: Console) -> int:
        script = Path(conspo_study.__file__).parents[1] / "benchmarks" / "check.py"
        if not script.is_file():
            raise StudyError("the benchmarks are not installed: conspo bench needs a checkout")
        chosen = [f"--{name}" for name in ("check", "record") if getattr(self, name)]
        return subprocess.run([sys.executable, str(script), *chosen], check=False).returncode
