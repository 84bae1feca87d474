"""From words to an instance of a dataclass of options, by tyro, with a hint for a mistyped one."""

from __future__ import annotations

import difflib
import io
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from typing import Any, TypeVar, cast

import tyro

from conspo_study.commands import exits

Options = TypeVar("Options")

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
"""`--quiet` without `--no-quiet`, and no `{None}` among the values."""
WIDTH = 79
"""Of descriptions."""
_VERBS = re.compile(r"\{(\w+,){5,}\w+\}")

COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
"""Options of tyro, before any other word."""
SHELLS = ("bash", "zsh", "tcsh", "fish")


def parse(
    kind: type[Options], words: Sequence[str], prog: str | None = None, description: str = ""
) -> Options:
    """An instance of the dataclass `kind`.

    prog: what was typed before `words`, for messages. description: what `--help` says first. Ends
    the process with status 0 after `--help`, and with 2 and a message for what cannot be read.
    """
    _check_completion(words)
    with _readable_help(words):
        found, unknown = cast(
            tuple[Options, list[str]],
            tyro.cli(
                kind,
                args=words,
                prog=prog,
                description=_wrapped(description),
                config=CONFIG,
                return_unknown_args=True,
            ),
        )
    if unknown:
        fail(_about(unknown, kind))
    return found


def fail(message: str) -> None:
    """Print an error and end the process as for any bad input."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(exits.BAD_INPUT)


def _wrapped(text: str) -> str:
    """The text with its paragraphs wrapped, but those that are indented, such as examples. All is
    indented by one more: tyro joins other lines."""
    paragraphs = text.strip().split("\n\n")
    wrapped = (p if p.startswith(" ") else textwrap.fill(p, WIDTH) for p in paragraphs)
    return "\n\n".join(textwrap.indent(paragraph, " ") for paragraph in wrapped)


@contextmanager
def _readable_help(words: Sequence[str]) -> Iterator[None]:
    """Print help without boxes and double blank lines, without the indentation of `_wrapped`, and
    without the list of all verbs in the first line, for which no terminal has room."""
    if not {"-h", "--help"} & {*words}:
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        usage, *rest = _VERBS.sub("VERB ...", printed.getvalue()).splitlines() or [""]
        lines = [line.removeprefix(" ").rstrip() for line in rest if line.strip() != "(required)"]
        usage = textwrap.fill(usage, WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
        print(re.sub(r"\n{3,}", "\n\n", "\n".join([usage, *lines])).rstrip())


def options_of(kind: type[Any]) -> Iterator[str]:
    """The options of a dataclass as they are typed, positional arguments among them."""
    for field in fields(kind):
        yield f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"


def _about(unknown: Sequence[str], kind: type[Any]) -> str:
    """Name the first word that is not understood, and the option that is probably meant."""
    option = next((word for word in unknown if word.startswith("--")), None)
    if option is None:
        return f"unexpected {unknown[0]!r}: see --help"
    name = option.partition("=")[0].replace("_", "-")
    known = [*options_of(kind), "--help"]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"unknown option {name}{_meant(near, name, known)}; --help lists the options"


def _meant(near: Sequence[str], name: str, known: Sequence[str]) -> str:
    if near:
        return f" (did you mean {near[0]}?)"
    if "--set" not in known:
        return ""
    from conspo_study.config import RunConfig, flatten
    from conspo_study.config.synonyms import setting_meant

    setting = setting_meant(name.lstrip("-").replace("-", "_"), [*flatten(RunConfig())])
    if setting is None or setting.startswith("--"):
        return f" (did you mean {setting}?)" if setting else ""
    return f" (did you mean --set {setting}=...?)"


def _check_completion(words: Sequence[str]) -> None:
    """Refuse a shell that tyro has no completion for, which it answers with a traceback."""
    if words and words[0].replace("_", "-") in COMPLETION:
        shell = words[1] if len(words) > 1 else "nothing"
        if shell not in SHELLS:
            fail(f"completion is for {', '.join(SHELLS)}, not {shell}")
