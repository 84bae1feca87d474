"""The rules as a table of Markdown, which ends the page `docs/verifier.md`.

`python -m conspo_study.reward.reading.reference docs/verifier.md` renews it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from conspo_study.reward.reading import RULES, Rule
from conspo_study.reward.reading.rules import Pair

MARK = "<!-- The table below is written by this command; edit the rules, not the table. -->\n"
"""Line of the page behind which everything is generated."""

_BACKTICKS = re.compile("`+")


def renewed(page: str) -> str:
    """The page with a fresh table. Raises ValueError if it lacks the mark."""
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"the page has no line {MARK.strip()!r}, behind which the table stands")
    return f"{head}{mark}\n{table(RULES)}"


def table(rules: Iterable[Rule]) -> str:
    """A row for each rule: what it says, and pairs `gold ← answer` that it accepts and refuses."""
    return "\n".join(_lines(rules)) + "\n"


def _lines(rules: Iterable[Rule]) -> Iterator[str]:
    yield "| rule | accepted: gold ← answer | refused: gold ← answer |"
    yield "|---|---|---|"
    for rule in rules:
        text = rule.text.replace("|", r"\|")
        yield f"| {text} | {_cell(rule.accepted)} | {_cell(rule.refused)} |"


def _cell(pairs: Iterable[Pair]) -> str:
    return "<br>".join(f"{code(gold)} ← {code(answer)}" for gold, answer in pairs)


def code(text: str) -> str:
    """A code span in a cell of a table; characters that cannot be seen are named."""
    seen = "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in text).replace("|", r"\|")
    longest = max(map(len, _BACKTICKS.findall(seen)), default=0)
    fence = "`" * (longest + 1)
    blank = " " if seen.startswith("`") or seen.endswith("`") or seen != seen.strip() else ""
    return f"{fence}{blank}{seen}{blank}{fence}"


def main() -> None:
    """Renew the table of the page that is named."""
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
