r"""Answers made from gold answers: right ones in other spellings, wrong ones that are close, and
attempts to be paid without an answer.

Each generator yields contents of a box, or whole responses where the box itself is what differs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

Rewrite = Callable[[str], str | None]
"""A whole response that says what the gold answer says; None where the rewrite has no place."""


def boxed(answer: str) -> str:
    """A response with one box."""
    return rf"so the answer is $\boxed{{{answer}}}$."


def _if(pattern: str, change: Callable[[str], str]) -> Rewrite:
    return lambda gold: boxed(change(gold)) if re.search(pattern, gold) else None


def _spaced(gold: str, space: str) -> str | None:
    if not re.fullmatch(r"-?\d{4,}", gold):
        return None
    return boxed(f"{int(gold):,}".replace(",", space))


NUMBER = r"^-?\d+(\.\d+)?$"
REWRITES: dict[str, Rewrite] = {
    "full stop inside": lambda gold: boxed(f"{gold}."),
    "comma inside": lambda gold: boxed(f"{gold},"),
    "control spaces": lambda gold: boxed(f"\\ {gold}\\ "),
    "ties": lambda gold: boxed(f"~{gold}~"),
    "size": lambda gold: boxed(rf"\large {gold}"),
    "display style": lambda gold: boxed(rf"\displaystyle {gold}"),
    "bold": lambda gold: boxed(rf"\boldsymbol{{{gold}}}"),
    "colour": lambda gold: boxed(rf"\color{{red}}{{{gold}}}"),
    "text colour": lambda gold: boxed(rf"\textcolor{{blue}}{{{gold}}}"),
    "underline": lambda gold: boxed(rf"\underline{{{gold}}}"),
    "equals sign": lambda gold: None if "=" in gold else boxed(f"= {gold}"),
    "about": lambda gold: None if "=" in gold else boxed(rf"\approx {gold}"),
    "zero-width space": lambda gold: boxed(f"\u200b{gold}\u200b"),
    "frame": lambda gold: rf"so the answer is $\fbox{{{gold}}}$.",
    "empty box behind": lambda gold: boxed(gold) + r" It is in \boxed{}.",
    "en dash": _if("-", lambda gold: gold.replace("-", "–")),
    "minus sign": _if("-", lambda gold: gold.replace("-", "\u2212")),
    "full-width digits": _if(
        NUMBER, lambda gold: gold.translate({48 + d: 0xFF10 + d for d in range(10)})
    ),
    "root sign": _if(r"\\sqrt\{\d+\}", lambda gold: re.sub(r"\\sqrt\{(\d+)\}", r"√\1", gold)),
    "infinity sign": _if(r"\\infty", lambda gold: gold.replace(r"\infty", "∞")),
    "pi sign": _if(r"\\pi\b", lambda gold: re.sub(r"\\pi\b", "π", gold)),
    "degree sign": _if(NUMBER, lambda gold: f"{gold}°"),
    "thin spaces": lambda gold: _spaced(gold, r"\,"),
    "spaces": lambda gold: _spaced(gold, " "),
    "commas": lambda gold: _spaced(gold, ","),
    "braced commas": lambda gold: _spaced(gold, "{,}"),
    "announced": lambda gold: boxed(rf"\text{{Answer: }}{gold}"),
    "sentence": lambda gold: boxed(rf"\text{{The answer is }}{gold}"),
    "square centimetres": _if(NUMBER, lambda gold: f"{gold} cm^2"),
    "metres per second": _if(NUMBER, lambda gold: f"{gold} m/s"),
    "unit in text": _if(NUMBER, lambda gold: rf"{gold}\text{{ units}}"),
    "braces": lambda gold: boxed(f"{{{gold}}}"),
    "dollars": lambda gold: boxed(f"${gold}$"),
    "new lines": lambda gold: boxed(f"\n{gold}\n"),
    "bold text": _if(NUMBER, lambda gold: rf"\textbf{{{gold}}}"),
    "decimal": _if(r"^-?\d+$", lambda gold: f"{gold}.0"),
    "plus": _if(r"^\d", lambda gold: f"+{gold}" if re.fullmatch(NUMBER, gold) else gold),
    "display fraction": _if(r"\\frac", lambda gold: gold.replace(r"\frac", r"\dfrac")),
    "slash": _if(
        r"^-?\\frac\{\d+\}\{\d+\}$",
        lambda gold: re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", gold),
    ),
    "named": lambda gold: None if re.search(r"[=<>,]|\\(in|le|ge)", gold) else boxed(f"x = {gold}"),
}
"""Spellings that change no meaning."""


_TOKEN = re.compile(
    r"\\text\{[^{}]*\}|\\[a-zA-Z]+|\\.|\d+|[a-zA-Z]|[-+*/^_=<>!|]|[(){}\[\],.]|\s+|."
)
_SWAPS = {"+": "-", "-": "+", "<": ">", ">": "<", "[": "(", "]": ")", "*": "+", "/": "*"}


def mutations(gold: str, rng: random.Random, count: int) -> Iterator[str]:
    """Up to `count` answers that differ from the gold answer in one token that has a meaning: a
    number or letter changed, a sign turned, a token dropped, two numbers exchanged."""
    tokens = _TOKEN.findall(gold)
    numbers = [i for i, token in enumerate(tokens) if token.isdigit()]
    letters = [i for i, token in enumerate(tokens) if re.fullmatch("[a-zA-Z]", token)]
    signs = [i for i, token in enumerate(tokens) if token in _SWAPS]
    kinds = [kind for kind, places in (("n", numbers), ("l", letters), ("s", signs)) if places]
    for _ in range(count if kinds else 0):
        changed = list(tokens)
        kind = rng.choice(kinds)
        if kind == "n":
            place = rng.choice(numbers)
            value = changed[place]
            how = rng.choice(("more", "less", "digit", "drop"))
            if how == "digit":
                at = rng.randrange(len(value))
                digit = rng.choice([d for d in "0123456789" if d != value[at]])
                changed[place] = value[:at] + digit + value[at + 1 :]
            elif how == "drop" and len(value) > 1:
                changed[place] = value[:-1]
            else:
                changed[place] = str(int(value) + (1 if how == "more" or value == "0" else -1))
        elif kind == "l":
            place = rng.choice(letters)
            changed[place] = rng.choice([c for c in "abcdkmnpqrtuvwxyz" if c != changed[place]])
        else:
            place = rng.choice(signs)
            changed[place] = _SWAPS[changed[place]]
        mutated = "".join(changed)
        if mutated != gold and not _same_number(mutated, gold):
            yield mutated


def _same_number(one: str, other: str) -> bool:
    """Whether two texts differ only in leading and trailing zeros."""
    try:
        return float(one.replace(",", "")) == float(other.replace(",", ""))
    except ValueError:
        return False


_MATHEMATICS = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$", re.DOTALL)


def echoes(problem: str, gold: str) -> list[str]:
    """The expressions of a problem's text that are not written as its gold answer is."""
    plain = re.sub(r"\s|\\left|\\right", "", gold).replace("dfrac", "frac")
    found = []
    for segment in dict.fromkeys(_MATHEMATICS.findall(problem)):
        for part in dict.fromkeys([segment, *re.split(r"(?<!\\)[,;]", segment)]):
            bare = re.sub(r"\s|\\left|\\right", "", part).replace("dfrac", "frac")
            if bare and bare != plain and not re.fullmatch(r"[-+]?[\d.,\\!{}%$^circ]+", bare):
                found.append(part.strip())
    return found


EXPLOITS: dict[str, Callable[[str], str]] = {
    "tower": lambda gold: boxed("9^{9^{9^{9}}}"),
    "factorial": lambda gold: boxed("99999999!"),
    "two answers": lambda gold: boxed(rf"41 \text{{ or }} {gold}"),
    "two answers in text": lambda gold: boxed(rf"{gold} \text{{, or maybe 43}}"),
    "two boxes": lambda gold: rf"\boxed{{41977}} or \boxed{{{gold}}}",
    "list": lambda gold: boxed(rf"\{{41977, {gold}, 41979\}}"),
    "frame in a box": lambda gold: boxed(rf"41977 \fbox{{{gold}}}"),
    "hidden": lambda gold: boxed(rf"\phantom{{{gold}}}"),
    "struck out": lambda gold: boxed(rf"\cancel{{{gold}}}"),
    "false equation": lambda gold: boxed(f"41977 = {gold}"),
    "false approximation": lambda gold: boxed(rf"41977 \approx {gold}"),
    "in a thought": lambda gold: rf"<think>\boxed{{{gold}}}</think> The answer is 41977.",
    "thought never closed": lambda gold: rf"<think>\boxed{{{gold}}}",
    "not": lambda gold: boxed(rf"\text{{not }}{gold}"),
    "unsure": lambda gold: boxed(rf"\text{{I think it might be }}{gold}"),
    "sum": lambda gold: boxed(f"{gold}+1-1"),
    "product": lambda gold: boxed(rf"\frac{{2 \cdot {gold}}}{{2}}"),
    "sum sign": lambda gold: boxed(rf"\sum_{{k=1}}^{{1}} {gold}"),
    "range": lambda gold: boxed(r"0 \le x \le 41977"),
    "interval": lambda gold: boxed(r"(-\infty,\infty)"),
    "letter": lambda gold: boxed("x"),
    "all numbers": lambda gold: boxed(r"n \in \mathbb{N}"),
    "undefined": lambda gold: boxed(r"\frac{0}{0}"),
    "tautology": lambda gold: boxed("0=0"),
    "nothing": lambda gold: boxed("?"),
    "plus or minus": lambda gold: boxed(rf"\pm 41977, {gold}"),
    "other base": lambda gold: boxed(f"{gold}_{{7}}"),
    "zero": lambda gold: boxed("0.0"),
    "infinite": lambda gold: boxed(r"\infty"),
    "code": lambda gold: boxed("__import__('os').system('true')"),
    "no box": lambda gold: f"The answer is {gold}.",
    "unclosed box": lambda gold: rf"\boxed{{{gold}",
    "box of the prompt": lambda gold: rf"Put it within \boxed{{}}: {gold}",
}
"""Responses that must not be paid, for gold answers that are positive numbers other than 0, 1."""
