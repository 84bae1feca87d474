"""Figures in three steps: data (`data_*`), drawing (`draw_*`), and a choice of both (`gallery_*`).

`figures_of` gives all figures that a study has data for. This room imports matplotlib.
"""

from analysis.figures.entry import FigureEntry
from analysis.figures.gallery import Gallery, figures_of

__all__ = ["FigureEntry", "Gallery", "figures_of"]
