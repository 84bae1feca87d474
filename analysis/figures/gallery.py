"""All figures that a study has data for, and a reason for each of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.figures.entry import FigureEntry
from analysis.figures.gallery_effects import effects
from analysis.figures.gallery_margin import margin_figure
from analysis.figures.gallery_methods import credits, methods, pass_at
from analysis.figures.gallery_regimes import regime_figures
from analysis.figures.gallery_search import (
    compromises,
    group_sizes,
    history,
    importances,
    margin_map,
    sensitivities,
)
from analysis.figures.gallery_training import identity, learning, margins, panels, scores
from analysis.findings.regime_differences import families_of
from analysis.findings.regimes import is_mapped, regime_map
from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import visible

OF_FUNCTIONS = (
    effects,
    learning,
    panels,
    methods,
    pass_at,
    sensitivities,
    importances,
    history,
    compromises,
)
"""Those that a study of a training function can have."""
LEFT_OUT = (
    "Figures of margins, group sizes, scores and credits are left out: they are about the built-in "
    "training, and this study ran a training function."
)
BUILDERS: tuple[Callable[[StudyResults], FigureEntry | str], ...] = (
    effects,
    margin_figure,
    learning,
    panels,
    methods,
    pass_at,
    sensitivities,
    margin_map,
    importances,
    history,
    compromises,
    group_sizes,
    scores,
    credits,
    margins,
    identity,
)
"""Each makes the frames of one figure, or returns a sentence with the reason why not."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The figures of a study, in the order in which to show them."""

    figures: tuple[FigureEntry, ...]
    skipped: tuple[str, ...]
    """A sentence for each figure without data, with the reason."""
    failed: tuple[str, ...] = ()
    """A sentence for each figure that met an error, with the error."""


def figures_of(study: StudyResults) -> Gallery:
    """All figures of `study`; frames are made here, pictures by each entry's `draw`.

    Raises StudyUnreadable naming a damaged file. Any other error costs the one figure alone.
    """
    if study.problem:
        return Gallery((), (f"No figures: {visible(study.problem, 400)}.",))
    made: list[FigureEntry | str] = [LEFT_OUT] if study.function else []
    failed = []
    if is_mapped(study):
        try:
            found = regime_map([study])
            made += regime_figures(found, families_of(found))
        except StudyUnreadable:
            raise
        except ValueError as error:
            made.append(f"No map: {visible(str(error), 400)}.")
    for build in OF_FUNCTIONS if study.function else BUILDERS:
        try:
            made.append(build(study))
        except (StudyUnreadable, OSError):
            raise
        except Exception as error:
            failed.append(failure(build.__name__.replace("_", " "), error))
    return Gallery(
        tuple(entry for entry in made if isinstance(entry, FigureEntry)),
        tuple(note for note in made if isinstance(note, str)),
        tuple(failed),
    )


def failure(figure: str, error: Exception) -> str:
    """A sentence about a figure that met an error, which is a fault of this program."""
    return f"No figure {figure!r}: it failed with {type(error).__name__}: {visible(str(error))}."
