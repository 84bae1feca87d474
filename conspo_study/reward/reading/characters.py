"""Unicode characters that stand for LaTeX."""

from __future__ import annotations

import re

from conspo_study.reward.reading.rules import rule

_REMOVED = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF, 0xAD]
)
_SPACES = dict.fromkeys(
    [0x9, 0xA, 0xD, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000],
    " ",
)
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_SIGNS = {
    **dict.fromkeys("−–—‐‑‒﹣", "-"),
    **dict.fromkeys("×✕", r"\times "),
    **dict.fromkeys("·⋅∙", r"\cdot "),
    **dict.fromkeys("“”‘’„", ""),
    **dict.fromkeys("′", "'"),
    **dict.fromkeys("∅⌀", r"\emptyset "),
    **dict.fromkeys("≤⩽", r"\le "),
    **dict.fromkeys("≥⩾", r"\ge "),
    **dict.fromkeys("、，", ","),
    "÷": r"\div ",
    "∞": r"\infty ",
    "°": r"^\circ ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "±": r"\pm ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "√": r"\sqrt ",
    "…": r"\ldots ",
    "⁄": "/",
    "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}",
    "。": ".",
    "％": "%",
}
_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_GREEK = {letter: rf"\{name} " for letter, name in zip(_LETTERS, _NAMES.split(), strict=True)}
_FRACTIONS = {
    "½": r"\frac{1}{2}",
    "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}",
    "⅖": r"\frac{2}{5}",
    "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}",
    "⅙": r"\frac{1}{6}",
    "⅚": r"\frac{5}{6}",
    "⅛": r"\frac{1}{8}",
    "⅜": r"\frac{3}{8}",
    "⅝": r"\frac{5}{8}",
    "⅞": r"\frac{7}{8}",
}
_TABLE = {
    **_REMOVED,
    **_SPACES,
    **_FULL_WIDTH,
    **{ord(sign): text for sign, text in {**_SIGNS, **_GREEK, **_FRACTIONS}.items()},
}
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋ₙ"
_LEVEL = str.maketrans(_RAISED + _LOWERED, "0123456789+-n" * 2)
_ROOT = re.compile("√ ?([0-9]+)")
_RUN = re.compile(f"([{_RAISED}]+)|([{_LOWERED}]+)")


@rule(
    accepted=[
        ("-5", "−5"),
        ("-5", "–5"),
        ("12", "１２"),
        ("42", "4\u200b2"),
        (r"\sqrt{2}", "√2"),
        (r"\frac{1}{2}", "½"),
        ("x^2", "x²"),
        (r"(0, \infty)", "(0, ∞)"),
        ("90", "90°"),
    ],
    refused=[("5", "−5"), ("x^2", "x2")],
)
def in_ascii(text: str) -> str:
    """Unicode signs, digits and letters stand for their LaTeX."""
    if text.isascii():
        return text.translate(_SPACES) if not text.isprintable() else text
    text = _ROOT.sub(r"\\sqrt{\1}", _RUN.sub(_script, text))
    return text.translate(_TABLE)


def _script(found: re.Match[str]) -> str:
    mark = "^" if found[1] else "_"
    return f"{mark}{{{found[0].translate(_LEVEL)}}}"
