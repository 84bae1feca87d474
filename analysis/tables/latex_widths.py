"""Widths of text in Computer Modern, to keep tables within a page.

Times, which most conferences ask for, is narrower, so a table that fits by this measure fits.
"""

from __future__ import annotations

from analysis.load.text import LIMIT, visible

TEXT_WIDTH_PT = 397.0
"""Width of the text of a NeurIPS or ICLR paper (5.5 in), and of two columns of most others less
than that of ICML (487 pt)."""

SIZES = {r"\small": 9.25, r"\footnotesize": 8.5, r"\scriptsize": 7.97}
"""Font sizes of a document of 10 pt, the largest first, and the width of one em of `text_ems` in
pt: small sizes of Computer Modern are wider than scaled ones."""

_BY_WIDTH = {
    278: "!'(),.:;[]`il|",
    306: "fj",
    392: "rst()",
    444: "cez",
    472: "?<>",
    500: '0123456789ago/*"^~{}\\$–',
    528: "kqvxy",
    556: "bdhnpuS",
    625: "FLZ",
    681: "EP",
    722: "BCTwR",
    750: "ADHNUVXY&",
    778: "GKOQ+=@ ±×−",
    833: "m#%",
    917: "M",
    1028: "W",
}
_ELSE = 0.8
_EMS = {character: width / 1000 for width, chars in _BY_WIDTH.items() for character in chars}
_EMS |= {" ": 0.333, "-": 0.333, "I": 0.361, "J": 0.514, "_": 0.5}


def text_ems(text: str, limit: int = LIMIT) -> float:
    """The width of one line of text in ems; characters that are not known count as wide ones."""
    return sum(_EMS.get(character, _ELSE) for character in visible(text, limit))
