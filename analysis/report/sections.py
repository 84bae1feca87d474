"""The order of a study's part of the page: what it shows at once, and what lies behind tabs."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.report.contents import ReportFigure, ReportTable, StudyReport

_EFFECTS, _MAPS = "effects", "map_minus"
_FIRST_TABLES = ("map", "confirmation", "methods-differences", "trials")
"""The table that is shown at once: the first of these that there is."""
_FIRST_FIGURES = (
    "accuracy_against_margin",
    "sensitivity",
    "group_size",
    "methods",
    "learning_curves",
)
"""Likewise, beside the differences."""
_TABS: dict[str, tuple[str, ...]] = {
    "Results": ("methods", "pass_at_k", "map", "confirmation", "pareto"),
    "Curves": ("learning_curves", "training_panels", "history"),
    "Settings": (
        *("accuracy_against_margin", "sensitivity", "tau_margin_map", "importance", "group_size"),
    ),
    "Trials": ("trials",),
    "Diagnostics": (
        *("findings", "scores", "credit_against_score", "margin_courses", "grpo_identity"),
    ),
}
"""Beginnings of the names of tables and figures by tab; others are results."""
_WITH_SENTENCES = ("Results", "Trials", "Diagnostics")


@dataclass(frozen=True, slots=True)
class Tab:
    """Tables and figures of one kind."""

    title: str
    tables: tuple[ReportTable, ...]
    figures: tuple[ReportFigure, ...]

    @property
    def anchor(self) -> str:
        """For links within the page."""
        return self.title.lower()


@dataclass(frozen=True, slots=True)
class Sections:
    """A study's tables and figures, in the order of the page."""

    figures: tuple[ReportFigure, ...]
    """Shown at once: the differences and the study's own, or the maps."""
    table: ReportTable | None
    tabs: tuple[Tab, ...]
    """All but those above; tabs without tables and figures only where they have sentences."""


def sections_of(report: StudyReport) -> Sections:
    """What is shown at once, and the rest by tab."""
    figures = {figure.name: figure for figure in report.figures}
    tables = {table.name: table for table in report.tables}
    maps = [name for name in figures if name.startswith(_MAPS)]
    own = next((name for name in _FIRST_FIGURES if name in figures), None)
    first = maps or [name for name in (_EFFECTS, own) if name in figures]
    shown = tuple(figures.pop(name) for name in first)
    table = next((tables.pop(name) for name in _FIRST_TABLES if name in tables), None)
    tabs = (
        Tab(
            title,
            tuple(one for one in tables.values() if tab_of(one.name) == title),
            tuple(one for one in figures.values() if tab_of(one.name) == title),
        )
        for title in _TABS
    )
    filled = (tab for tab in tabs if tab.tables or tab.figures or tab.title in _WITH_SENTENCES)
    return Sections(shown, table, tuple(filled))


def tab_of(name: str) -> str:
    """The title of the tab that a table or figure belongs to, wherever it is shown."""
    found = (title for title, beginnings in _TABS.items() if name.startswith(beginnings))
    return next(found, "Results")
