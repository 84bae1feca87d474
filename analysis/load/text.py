"""Untrusted text made safe to show: model output and error messages end up in tables."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_|~$])")
_LINK = re.compile(r"\](?=[(\[:])")
"""The bracket that makes a link of what surrounds it. It becomes an entity, since notebooks take an
escaped one for a formula."""
LIMIT = 160


def visible(text: str, limit: int = LIMIT) -> str:
    """One line of at most `limit` characters of the text; controls are spelled out."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(
            character
            if character.isprintable()
            else character.encode("unicode_escape", "backslashreplace").decode()
            for character in shown
        )
    return shown + ("…" if len(text) > limit else "")


def markdown_text(text: str, limit: int = LIMIT) -> str:
    """Text for a line or cell of Markdown; markup, links and HTML in it are escaped."""
    escaped = _MARKDOWN.sub(r"\\\1", visible(text, limit))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINK.sub("&#93;", escaped)


def csv_text(text: str) -> str:
    """Text as a CSV field that no spreadsheet evaluates as a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def axis_label(metric: str, width: int = 32) -> str:
    """`metric_label` for an axis or a panel, cut at its beginning to `width` characters."""
    label = visible(metric_label(metric), 1000)
    return label if len(label) <= width else f"…{label[1 - width :]}"


def metric_label(metric: str) -> str:
    """`eval/chain/hard/avg@8` as `chain/hard avg@8`."""
    name = metric.removeprefix("eval/")
    return " ".join(name.rsplit("/", 1)) if metric.startswith("eval/") else name
