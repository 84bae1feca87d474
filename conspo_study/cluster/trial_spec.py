"""The description of a trial that its processes are started with."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conspo_study.config import AnyRun, parse_run
from conspo_study.plugins import load_module, search_in
from conspo_study.results import names
from conspo_study.text import title


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """A trial, as plain data that any cluster node can read."""

    study: str
    trial: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    metric: str
    direction: str
    """Whether more of the metric is better (`max`) or less (`min`)."""
    bars: dict[str, Any]
    """Step, as text, to the pruning threshold there, as the log writes it."""
    results: str
    """The study's results directory, reachable under this path from every node."""
    settings: str = ""
    """The settings that distinguish the trial, for display only."""
    started_in: str = ""
    """The folder that relative paths of the configuration start from; empty: the current one."""
    imports: tuple[str, ...] = ()
    """Modules to import before the configuration can be read."""
    label: str = ""
    """Name of the baseline; empty for a searched trial."""
    confirms: bool = False
    """Whether it is a confirmation."""
    also: tuple[str, ...] = ()
    """The study's further objectives, which the last report must hold as it does the metric."""
    races: bool = False
    """Whether a trial of the study may be stopped early."""
    until: int | None = None
    """Step of the rung at which it pauses; None: it runs to its last step."""

    @property
    def folder(self) -> Path:
        """The folder of the trial's rows and evaluations."""
        return names.trial_folder(Path(self.results), self.trial)

    @property
    def run_name(self) -> str:
        """Name of the Ray Train run."""
        return names.run_name(self.study, self.trial)

    def enter(self) -> AnyRun:
        """Prepare this process for the trial, once, and return the trial's configuration.

        The process then works in the folder where the study was started, and imports the study's
        modules from the copy in the results directory. Raises what reading the configuration and
        importing the modules raise.
        """
        if self.started_in and Path(self.started_in).is_dir():
            os.chdir(self.started_in)
        search_in(str(Path(self.results) / names.PLUGINS))
        for name in self.imports:
            load_module(name)
        return parse_run(self.config)

    @property
    def title(self) -> str:
        """One line for Ray's own pages: study, trial and settings."""
        return title(self.study, self.trial, self.settings)

    @property
    def run_folder(self) -> Path:
        """The folder of the trial's checkpoints."""
        return names.run_folder(Path(self.results), self.study, self.trial)

    def payload(self) -> dict[str, Any]:
        """The fields as the plain dictionary that Ray passes around; `TrialSpec(**payload)` reads
        it."""
        return asdict(self)
