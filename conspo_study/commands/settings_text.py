"""The settings reference as text for a terminal, and as the page docs/settings.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from conspo_study.commands.settings_reference import Group, Setting, groups, stage_of

PAGE_WIDTH = 100
_DEFAULT = 12
"""Widest column of defaults."""
_HEAD = """# Settings

Every setting of a run, as `--set` takes it: `conspo run margin_sweep --set rollout.group_size=8`.
`--config mine.toml` (or .yaml, .json) takes them from a file; `conspo init mine --config` writes
one.
In a terminal, `conspo settings` lists them, `conspo settings rollout` those of a stage, and
`conspo settings rollout.engine` shows one. Defaults are those without a preset; `conspo plan` shows
what a preset and a study change.

Written by `conspo settings --markdown > docs/settings.md`.
"""


def overview(width: int) -> Iterator[str]:
    """All settings by stage, one line each. What objectives share is listed once."""
    yield "Written STAGE.NAME, such as rollout.engine; `conspo settings STAGE` and"
    yield "`conspo settings STAGE.NAME` show the whole text."
    stages: dict[str, list[Group]] = {}
    for group in groups():
        stages.setdefault(stage_of(group), []).append(group)
    for stage, members in stages.items():
        yield ""
        several = f"{len(members)} objectives; objective.name chooses one"
        yield cut(f"{stage}: {several if len(members) > 1 else members[0].text}", width)
        settings = merged(members)
        cells = [(s.name, s.type, cut(s.default, _DEFAULT)) for s in settings]
        columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for setting, row in zip(settings, cells, strict=True):
            padded = (f"{text:<{column}}" for text, column in zip(row, columns, strict=True))
            yield cut(f"  {'  '.join(padded)}  {setting.sentence}", width)


def of_group(group: Group, width: int) -> Iterator[str]:
    """The settings of a group with their whole text."""
    yield from _lines(f"{group.title}: {group.text}", width)
    yield ""
    if not group.settings:
        yield "  nothing to set"
        return
    column = max(len(setting.name) for setting in group.settings) + 4
    for setting in group.settings:
        kind = " | ".join(setting.choices) or setting.type
        head = f"{kind}, default {setting.default or 'empty'}"
        yield from _lines(head, width, f"  {setting.name:<{column - 2}}", " " * column)
        yield from _lines(setting.text, width, " " * 6, " " * 6)


def of_setting(found: Sequence[tuple[Group, Setting]], width: int) -> Iterator[str]:
    """A setting with all there is to say of it; of several objectives where these differ."""
    distinct: dict[tuple[str, str, str], list[str]] = {}
    for group, setting in found:
        key = (setting.takes, setting.default, setting.text)
        distinct.setdefault(key, []).append(group.title.partition("=")[2])
    path = found[0][1].path
    for number, ((takes, default, text), objectives) in enumerate(distinct.items()):
        if number:
            yield ""
        yield path
        facts = [("takes", takes), ("default", default)]
        facts += [("of", ", ".join(objectives))] if objectives[0] else []
        for title, fact in facts:
            yield from _lines(fact, width, f"  {title:<10}", " " * 12)
        yield from _lines(text, width, "  ", "  ")


def page() -> str:
    """The page docs/settings.md."""
    parts = [_HEAD]
    stage = ""
    for group in groups():
        if stage_of(group) != stage:
            stage = stage_of(group)
            parts.append(f"## {stage}\n")
            if stage == "objective":
                parts.append("`objective.name` chooses one of these, or an import path.\n")
        if stage == "objective":
            parts.append(f"### `{group.title}`\n")
        parts.append(_wrapped(group.text) + "\n")
        entries = [_wrapped(_entry(setting), "- ", "  ") for setting in group.settings]
        parts += ["\n".join(entries) + "\n"] if entries else []
    return "\n".join(parts)


def merged(members: Sequence[Group]) -> list[Setting]:
    """The settings of some groups, each path once; `varies` for a default that differs."""
    found: dict[str, Setting] = {}
    for setting in (setting for group in members for setting in group.settings):
        first = found.setdefault(setting.path, setting)
        if first.default != setting.default:
            found[setting.path] = Setting(
                first.path, first.type, first.takes, "varies", first.text, first.choices
            )
    return [*found.values()]


def cut(text: str, width: int) -> str:
    """The text, with an ellipsis where it is longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def _entry(setting: Setting) -> str:
    return (
        f"**`{setting.path}`** ({setting.takes}; default {_code(setting.default)}). {setting.text}"
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def _lines(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    return "\n".join(_lines(text, PAGE_WIDTH, first, others))
