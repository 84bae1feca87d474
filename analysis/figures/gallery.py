"""Every figure that the data of a study supports, and why the others are absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.figures.entry import FigureEntry
from analysis.figures.gallery_methods import credits, methods, pass_at
from analysis.figures.gallery_search import (
    compromises,
    group_sizes,
    history,
    importances,
    margin_figure,
    margin_map,
    parallel,
    sensitivities,
)
from analysis.figures.gallery_training import identity, learning, margins, panels, scores
from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import visible

BUILDERS: tuple[Callable[[StudyResults], FigureEntry | str], ...] = (
    margin_figure,
    learning,
    panels,
    methods,
    pass_at,
    sensitivities,
    margin_map,
    importances,
    parallel,
    history,
    compromises,
    group_sizes,
    margins,
    scores,
    credits,
    identity,
)
"""Each makes the frames of one figure, or says in a sentence why there is none."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The figures of a study, in the order in which to show them."""

    figures: tuple[FigureEntry, ...]
    notes: tuple[str, ...]
    """One sentence for each figure that is absent, with the reason."""
    failed: tuple[str, ...] = ()
    """One sentence for each figure that there should be, with the error."""


def figures_of(study: StudyResults) -> Gallery:
    """What can be drawn of `study`; frames are made here, pictures by each entry's `draw`.

    Raises StudyUnreadable naming a damaged file. Any other error costs the one figure alone.
    """
    if study.problem:
        return Gallery((), (f"No figures: {visible(study.problem, 400)}.",))
    made: list[FigureEntry | str] = []
    failed = []
    for build in BUILDERS:
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
    """That a figure could not be made although nothing is missing, which is a fault of this
    program."""
    return f"No figure {figure!r}: it failed with {type(error).__name__}: {visible(str(error))}."
