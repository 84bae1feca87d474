"""Checks that the files of a model folder are complete, by names, sizes and headers alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conspo_study.policy.errors import PolicyError
from conspo_study.policy.safetensors_header import Header, read_header
from conspo_study.untrusted import open_regular, parse_json, read_regular

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTERS = "adapter_config.json"
_JSON_FILES = (
    *(CONFIG, INDEX, "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json"),
)
"""JSON files that transformers reads; some that are malformed it ignores silently."""
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_MOST = 256 << 20
"""Bytes of a JSON file; the vocabulary of a large model has 40 MB."""
_LFS_POINTER = b"version https://git-lfs"


def file_problems(folder: Path, code: bool = False) -> list[str]:
    """Reasons why a folder is not a transformers model with its tokenizer, one message each.

    code: the model's own code is run, and may read a vocabulary from any file.
    """
    try:
        names = {path.name for path in folder.iterdir()}
        if CONFIG not in names:
            return [no_model(folder)]
    except OSError:
        return [no_model(folder)]
    problems = [
        f"{_subject(folder)}: {problem}"
        for name in _JSON_FILES
        if name in names and (problem := _json_problem(folder / name))
    ]
    if problems:
        return problems
    try:
        files = weight_files(folder)
    except PolicyError as error:
        problems.append(str(error))
    else:
        reasons = (_weights_problem(path) for path in files)
        problems += [f"{_subject(folder)}: {problem}" for problem in reasons if problem]
    if ADAPTERS in names:
        problems.append(
            f"{_subject(folder)}: {ADAPTERS} makes it adapters of another model: merge them "
            "(PEFT's merge_and_unload, then save_pretrained) and use the merged folder"
        )
    if not code and (problem := _vocabulary_problem(folder, names)):
        problems.append(f"{_subject(folder)}: {problem}")
    return problems


def no_model(path: Path) -> str:
    """A message that explains why a path is not the folder of a transformers model."""
    try:
        why = _no_config({entry.name for entry in path.iterdir()})
    except FileNotFoundError:
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        state = "it is a broken link" if path.is_symlink() else f"it does not exist{where}"
        why = f"no {CONFIG}: {state}"
    except NotADirectoryError:
        why = f"no {CONFIG}: it is a file"
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
    return f"policy.model: {path} is not the folder of a transformers model ({why})"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises PolicyError for any other file."""
    if problem := _json_problem(path):
        raise PolicyError(f"{_subject(path.parent)}: {problem}")
    data: dict[str, Any] = parse_json(read_regular(path, _MOST))
    return data


def weight_files(folder: Path) -> list[Path]:
    """The files from which transformers reads a model's weights. Raises PolicyError if some are
    missing or have another format."""
    named = read_json(folder / CONFIG).get("transformers_weights")
    names = {path.name for path in folder.iterdir()}
    first = next((n for n in (str(named), WEIGHTS, INDEX) if n in names), None)
    if first is None:
        raise PolicyError(f"{_subject(folder)}: {_other_weights(folder, names)}")
    if not first.endswith(".index.json"):
        return [folder / first]
    try:
        shards = sorted({str(name) for name in read_json(folder / first)["weight_map"].values()})
    except (KeyError, AttributeError) as error:
        raise PolicyError(
            f"{_subject(folder)}: {first} lists no weights (weight_map): fetch it again"
        ) from error
    if missing := [name for name in shards if not os.path.lexists(folder / name)]:
        raise PolicyError(
            f"{_subject(folder)}: {len(missing)} of {len(shards)} weight files are missing "
            f"({some(missing)}): fetch the model again"
        )
    return [folder / name for name in shards]


def some(names: list[str], count: int = 3) -> str:
    """The first `count` of many names, and the number of the others."""
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest} more" if rest > 0 else "")


def _subject(folder: Path) -> str:
    return f"policy.model: {folder}"


def _no_config(names: set[str]) -> str:
    if ADAPTERS in names:
        return (
            "it has only adapters: merge them into their model (PEFT's merge_and_unload, then "
            "save_pretrained) and use that folder"
        )
    inner = [name for name in names if name.startswith("checkpoint")]
    inner.sort(key=lambda name: (len(name), name))  # checkpoint-900, checkpoint-1000
    return f"no {CONFIG}" + (f"; did you mean {inner[-1]} in it?" if inner else "")


def _json_problem(path: Path) -> str | None:
    try:
        content = read_regular(path, _MOST)
    except OSError as error:
        return f"{path.name} {_reason(error)}"
    name = path.name
    if content.startswith(_LFS_POINTER):
        return _is_pointer(name)
    if not content.strip():
        return f"{name} is empty: fetch it again"
    if content.startswith(b"\xef\xbb\xbf"):
        fix = rf"sed -i '1s/^\xEF\xBB\xBF//' {shlex.quote(str(path))}"
        return f"{name} begins with a byte order mark, which transformers cannot read: {fix}"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{name} is UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
    try:
        data = parse_json(content)
    except UnicodeDecodeError:
        return f"{name} is not UTF-8: save it as UTF-8"
    except ValueError as error:
        return f"{name} is not JSON ({error}): correct it or fetch it again"
    return None if isinstance(data, dict) else f"{name} is not a JSON object: fetch it again"


def _weights_problem(path: Path) -> str | None:
    try:
        header = _header(path)
        size = path.stat().st_size
    except OSError as error:
        return f"{path.name} {_reason(error)}"
    except PolicyError as error:
        return str(error)
    except ValueError:
        return f"{path.name} is not a safetensors file, or its header is damaged: fetch it again"
    ends = [tensor["data_offsets"][1] for tensor in header.tensors.values()]
    if not ends:
        return f"{path.name} has no tensors: fetch it again"
    end = header.data_start + max(ends)
    if size != end:
        state = "truncated" if size < end else "damaged"
        return f"{path.name} is {state}: {size:,} bytes of {end:,}; fetch it again"
    if adapters := [name for name in header.tensors if ".lora_" in name]:
        return (
            f"{path.name} contains adapters ({some(adapters, 1)}): merge them into their model "
            "(PEFT's merge_and_unload, then save_pretrained) and use that folder"
        )
    return None


def _header(path: Path) -> Header:
    """The header of a weight file. Raises PolicyError for an empty file or a Git LFS pointer."""
    with open_regular(path, None) as file:
        beginning = file.read(len(_LFS_POINTER))
        if beginning == _LFS_POINTER:
            raise PolicyError(_is_pointer(path.name))
        if not beginning:
            raise PolicyError(f"{path.name} is empty: fetch it again")
        file.seek(0)
        return read_header(file)


def _vocabulary_problem(folder: Path, names: set[str]) -> str | None:
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        return (
            "it has no tokenizer (tokenizer.json, vocab.json, tokenizer.model ...): copy that of "
            "the model it was trained from (AutoTokenizer.from_pretrained(...).save_pretrained)"
        )
    for path in sorted(set(_glob(folder))):
        try:
            with open_regular(path, None) as file:
                content = file.read(len(_LFS_POINTER))
        except OSError as error:
            return f"{path.name} {_reason(error)}"
        if content == _LFS_POINTER:
            return _is_pointer(path.name)
        if not content:
            return f"{path.name} is empty: fetch it again"
    if "tokenizer.json" not in names and "vocab.json" in names and "merges.txt" not in names:
        return "its tokenizer is incomplete: vocab.json without merges.txt; copy both"
    return None


def _glob(folder: Path) -> Iterator[Path]:
    for pattern in _VOCABULARIES:
        yield from folder.glob(pattern)


def _other_weights(folder: Path, names: set[str]) -> str:
    """A description of the files that a folder has instead of weights."""
    if pickles := sorted(name for name in names if name.endswith(_PICKLES)):
        return (
            f"its weights are pickles ({some(pickles, 1)}), which can carry code and are not "
            "loaded: convert them if you trust them (save_pretrained writes safetensors)"
        )
    if others := sorted(name for name in names if name.endswith(".safetensors")):
        part = len(others) > 1 or "-of-" in others[0]
        fix = f"{INDEX} is missing: fetch it again" if part else f"rename it to {WEIGHTS}"
        return f"its weights are in {some(others)}, which transformers does not read: {fix}"
    gguf = sorted(name for name in names if name.endswith(".gguf"))
    hint = f"; set policy.model={folder / gguf[0]}" if gguf else ": fetch the model again"
    return f"it has no weights ({WEIGHTS}){hint}"


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        path = Path(error.filename or "")
        return "is a broken link" if path.is_symlink() else "does not exist"
    return f"cannot be read ({error.strerror})"


def _is_pointer(name: str) -> str:
    return f"{name} is a Git LFS pointer, not the file itself: run `git lfs pull` there"
