"""Completion of commands in bash: options, names, and every setting that `--set` can change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from conspo_study.config import RunConfig
from conspo_study.config.objectives import OPTIONS
from conspo_study.definition import Sampler
from conspo_study.presets import PRESETS
from conspo_study.tracking.known import TRACKERS

# A script of Python completes as `python`, so all of Python's commands come by here: what is not
# ours goes on to whatever completed them before, or to file names.
_BASH = """\
# Completion of conspo-study's commands in bash.

_conspo_study_names() {  # what of the words given completes the current one
    local word
    COMPREPLY=()
    for word in "$@"; do [[ $word == "$current"* ]] && COMPREPLY+=("$word"); done
}

_conspo_study_settings() {  # stage.field=value, which bash may split at the =
    local value=""
    if [[ $current == *=* ]]; then value=${current#*=} key=${current%%=*}
    elif [[ $before == = ]]; then value=$current key=${COMP_WORDS[COMP_CWORD-2]}
    fi
    local current=$current
    if [[ -n $key ]]; then
        current=$value
        case $key in
@VALUES@
            *) COMPREPLY=() ;;
        esac
    else
        compopt -o nospace 2>/dev/null
        _conspo_study_names @SETTINGS@
    fi
}

_conspo_study() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} key=""
    local first=${COMP_WORDS[1]} second=${COMP_WORDS[2]} command=""
    if [[ $first == -m && $COMP_CWORD -eq 2 ]]; then
        _conspo_study_names @MODULES@
        [[ ${#COMPREPLY[@]} -gt 0 ]] && return
    elif [[ $first == -m && $second == conspo_study.study ]]; then
        command=${COMP_WORDS[3]}
        [[ $COMP_CWORD -eq 3 ]] && { _conspo_study_names @COMMANDS@; return; }
    elif [[ $first == *.py && -f $first ]] && grep -q "conspo_study.cli" "$first"; then
        command=study
    fi
    if [[ -z $command ]]; then
        [[ -n $_conspo_study_before ]] && "$_conspo_study_before" "$@"
        return
    fi
    if [[ $current == = ]]; then  # the value has not been begun
        current="" before="=" COMP_CWORD=$((COMP_CWORD+1))
    fi
    if [[ $before == --set || ( $before == = && ${COMP_WORDS[COMP_CWORD-3]} == --set ) ]]; then
        _conspo_study_settings
        return
    fi
    case $before in
        --preset) _conspo_study_names @PRESETS@; return ;;
        --sampler) _conspo_study_names @SAMPLERS@; return ;;
        --track|--to) _conspo_study_names @TRACKERS@; return ;;
    esac
    if [[ $current == -* ]]; then
        case $command in
@OPTIONS@
        esac
    fi
}

_conspo_study_before=$(complete -p python 2>/dev/null | sed -n 's/.* -F \\([^ ]*\\) .*/\\1/p')
[[ $_conspo_study_before == _conspo_study ]] && _conspo_study_before=""
complete -o default -o bashdefault -F _conspo_study python python3
"""
_MODULES = ("conspo_study.study", "analysis.report", "analysis.compare")


def bash_completion(study: type, commands: Mapping[str, type]) -> str:
    """A script for bash to read. study: the options of a study script; commands: those of each
    command of `python -m conspo_study.study`."""
    settings = _settings()
    values = [f"{path}) {_names(words)} ;;" for path, words in settings.items() if words]
    every = {"study": study, **commands}
    options = [f"{name}) {_names(_options(of))} ;;" for name, of in every.items()]
    filled = {
        "VALUES": _indented(values),
        "SETTINGS": _words(f"{path}=" for path in settings),
        "MODULES": _words(_MODULES),
        "COMMANDS": _words(commands),
        "PRESETS": _words(PRESETS),
        "SAMPLERS": _words(_choices(Sampler.model_fields["name"].annotation)),
        "TRACKERS": _words(TRACKERS),
        "OPTIONS": _indented(options),
    }
    script = _BASH
    for name, text in filled.items():
        script = script.replace(f"@{name}@", text)
    return script


def _settings() -> dict[str, list[str]]:
    """Every dotted setting with the values that it can be completed to; of all objectives."""
    found: dict[str, list[str]] = {}
    for stage, of_stage in RunConfig.model_fields.items():
        kinds: Iterable[Any] = OPTIONS.values() if stage == "objective" else [of_stage.annotation]
        for kind in kinds:
            for name, field in kind.model_fields.items():
                words = found.setdefault(f"{stage}.{name}", [])
                words += [word for word in _choices(field.annotation) if word not in words]
    return found


def _choices(annotation: Any) -> list[str]:
    """The words that a value may be, where its type names them."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [word for part in get_args(annotation) for word in _choices(part)]


def _options(of: type) -> list[str]:
    """The options that the command line makes of a class."""
    flags = ["--help"]
    for field in dataclasses.fields(of):
        name = field.name.replace("_", "-")
        if field.name != "folder":
            flags.append(f"--no-{name}" if field.default is True else f"--{name}")
    return flags


def _names(words: Iterable[str]) -> str:
    return f"_conspo_study_names {_words(words)}"


def _words(words: Iterable[str]) -> str:
    return " ".join(words)


def _indented(cases: Iterable[str]) -> str:
    return "\n".join(f"            {case}" for case in cases)
