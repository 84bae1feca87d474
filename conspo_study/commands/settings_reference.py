"""Every setting of a run, with its type, default and text, read from the configuration classes."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from conspo_study.config import OPTIONS, RunConfig
from conspo_study.config.fields import AcceptedValues, accepted_values
from conspo_study.text import setting_text

_TYPES = {
    "whole": ("int", "a whole number"),
    "number": ("float", "a number"),
    "truth": ("bool", "true or false"),
    "text": ("str", "text"),
    "list": ("list", "a list"),
    "mapping": ("dict", "a mapping"),
    "null": ("null", "null"),
    "other": ("any", "a value"),
}
"""Kind -> short name, and in words."""
_SENTENCE = re.compile(r".+?[.](?=\s+[A-Z`]|$)|.+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of one configuration class."""

    path: str
    """As `--set` has it, `rollout.engine`."""
    type: str
    """Short: int, float, bool, str, list, dict, choice; `?` after it where it may be null."""
    takes: str
    """Allowed values and limits, in words."""
    default: str
    """As one types it; `-` for a setting without one."""
    text: str
    """The field's docstring as one paragraph."""
    choices: tuple[str, ...] = ()
    """Values of an enumeration."""

    @property
    def name(self) -> str:
        """The path without its stage."""
        return self.path.partition(".")[2]

    @property
    def sentence(self) -> str:
        """The first sentence of the text."""
        found = _SENTENCE.match(self.text)
        return found[0] if found else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The settings of a stage, or those of one objective."""

    title: str
    """`rollout`, `objective.name=grpo`."""
    text: str
    """First paragraph of the class's docstring."""
    settings: tuple[Setting, ...]


@cache
def groups() -> tuple[Group, ...]:
    """All stages in their order; in place of `objective`, a group for every objective of ours."""
    found: list[Group] = []
    for stage, field in RunConfig.model_fields.items():
        if stage == "objective":
            ours = sorted(OPTIONS.items(), key=lambda item: (item[0] != "conspo", item[0]))
            found += [_group(f"objective.name={name}", stage, kind) for name, kind in ours]
        else:
            kind = field.annotation
            assert isinstance(kind, type)
            found.append(_group(stage, stage, kind))
    return tuple(found)


def stage_of(group: Group) -> str:
    """The stage that the group belongs to."""
    return group.title.partition(".")[0]


def _group(title: str, stage: str, kind: type[BaseModel]) -> Group:
    texts = field_texts(kind)
    paragraph = (inspect.getdoc(kind) or "").split("\n\n")[0]
    settings = (
        _setting(f"{stage}.{name}", field, texts.get(name, ""))
        for name, field in kind.model_fields.items()
        if f"{stage}.{name}" != "objective.name"
    )
    return Group(title, " ".join(paragraph.split()), tuple(settings))


def _setting(path: str, field: FieldInfo, text: str) -> Setting:
    what = accepted_values(field)
    default = "-" if field.is_required() else setting_text(_plain(what.example))
    choices = tuple(setting_text(word) for word in what.words)
    return Setting(path, _short(what), _in_words(what, choices), default, text, choices)


def _short(what: AcceptedValues) -> str:
    kinds = ["choice"] if what.words else []
    kinds += [short for kind, (short, _) in _TYPES.items() if kind in what.kinds - {"null"}]
    return "|".join(kinds) + ("?" if "null" in what.kinds else "")


def _in_words(what: AcceptedValues, choices: tuple[str, ...]) -> str:
    nouns = [words for kind, (_, words) in _TYPES.items() if kind in what.kinds and kind != "null"]
    if nouns and what.limits:
        nouns[0] += f" {what.limits}"
    nouns += [*choices, *(["null"] if "null" in what.kinds else [])]
    *others, last = nouns
    return f"{', '.join(others)} or {last}" if others else last


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value


def field_texts(kind: type[BaseModel]) -> Mapping[str, str]:
    """The strings under the fields of a configuration class and of those that it derives from."""
    texts: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            texts.update(_texts_under_fields(owner))
    return texts


def _texts_under_fields(owner: type) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError, SyntaxError):  # a class without a source file
        return
    (definition,) = tree.body
    assert isinstance(definition, ast.ClassDef)
    for line, after in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield line.target.id, " ".join(after.value.value.split())
