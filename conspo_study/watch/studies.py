"""The studies under a folder, a line for each, and the view of each."""

from __future__ import annotations

import time
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

from conspo_study.results.nearby import holds_study, studies_under
from conspo_study.watch.study_view import StudyView
from conspo_study.watch.summary import Summary
from conspo_study.watch.turn import Turn

MOST_STUDIES = 200
"""Studies that are listed."""
OPEN_STUDIES = 8
"""Studies whose curves are kept in memory."""
FINDING_S = 10.0
"""Seconds between two searches for new studies."""
READING_S = 0.5
"""Longest time that one list spends on reading logs."""
ITSELF = "."
"""Key of the folder when it is a results directory."""


class Studies:
    """The study in `root`, or all studies in the folders below it. Thread-safe.

    A study's key is the path of its folder below `root`; only folders that were found there can be
    asked for. Questions raise OSError as those of `StudyView`.
    """

    def __init__(self, root: Path):
        self.root = root
        self.several = not holds_study(root) and any(studies_under(root))
        self._turn = Turn(root)
        self._found = -inf
        """When studies were last looked for, by the clock of this process."""
        self._left_out = 0
        self._summaries: dict[str, Summary] = {}
        self._views: dict[str, StudyView] = {}

    def view(self, key: str) -> StudyView:
        """The study with this key; without one the only study. Raises KeyError for an unknown one,
        ValueError where there are several and none is named."""
        if not self.several:
            if key not in ("", ITSELF):
                raise KeyError(key)
            key = ITSELF
        elif not key:
            raise ValueError("there are several studies: name one with of=, as `studies` lists it")
        with self._turn.taken():
            if self.several and key not in self._summaries:
                self._find()
                self._summaries[key]  # the only paths that may be opened
            view = self._views.pop(key, None) or StudyView(self.root / key)
            self._views[key] = view
            if len(self._views) > OPEN_STUDIES:
                del self._views[next(iter(self._views))]
            return view

    def listed(self) -> dict[str, Any]:
        """A line for each study, the latest change first; nothing where `root` is itself a
        study."""
        if not self.several:
            return {"several": False, "folder": str(self.root), "left_out": 0, "studies": []}
        with self._turn.taken():
            if time.monotonic() - self._found > FINDING_S:
                self._find()
            # Those that were read longest ago go first, since time may not reach all of them.
            due = time.monotonic() + READING_S
            for summary in sorted(self._summaries.values(), key=lambda one: one.read):
                summary.advance(max(0.0, due - time.monotonic()))
                if time.monotonic() > due:
                    break
            rows = [{"key": key, **one.told()} for key, one in self._summaries.items()]
            rows.sort(key=lambda row: -row["changed"])
            return {
                "several": True,
                "folder": str(self.root),
                "left_out": self._left_out,
                "studies": rows,
            }

    def _find(self) -> None:
        """Look for studies; those that are gone are forgotten."""
        paths = studies_under(self.root)
        found = [str(path.relative_to(self.root)) for path in islice(paths, MOST_STUDIES)]
        # A name that is no text has no address.
        keys = [key for key in found if key.isprintable()]
        self._left_out = len(found) - len(keys) + sum(1 for _ in paths)
        self._summaries = {
            key: self._summaries.get(key) or Summary(self.root / key) for key in keys
        }
        self._views = {key: view for key, view in self._views.items() if key in self._summaries}
        self._found = time.monotonic()
