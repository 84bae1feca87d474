"""Loads objects by import path, `module:name`, or by the entry point of an installed package.

The entry-point groups are `conspo_study.objectives` and `conspo_study.rewards`; the value of an
entry point is an import path.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

OBJECTIVES, REWARDS = "conspo_study.objectives", "conspo_study.rewards"
"""Entry-point groups."""

_PATH = re.compile(r"([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_importing: list[str] = []


class PluginError(ValueError):
    """An unusable plugin; the message says which, why, and what to do."""


def is_import_path(text: str) -> bool:
    """True if `text` has the form `package.module:name`."""
    return _PATH.fullmatch(text) is not None


def path_of(name: str, group: str) -> str | None:
    """The import path of `name`: itself, or the value of its entry point in `group`; None without
    one. Raises PluginError if several packages define the entry point differently."""
    if is_import_path(name):
        return name
    points = {
        point.value: point for point in importlib.metadata.entry_points(group=group, name=name)
    }
    if len(points) > 1:
        owners = ", ".join(sorted(str(point.dist and point.dist.name) for point in points.values()))
        raise PluginError(
            f"{name!r} is defined by several installed packages ({owners}): use the import path, "
            f"such as {min(points)}"
        )
    for value in points:
        if not is_import_path(value):
            raise PluginError(
                f"the entry point {name!r} of {group} is {value!r}, which is not of the form "
                "package.module:name"
            )
    return next(iter(points), None)


def module_of(path: str) -> str:
    """The module part of an import path."""
    return path.partition(":")[0]


def load(path: str) -> Any:
    """The object at an import path. Raises PluginError."""
    module_name, _, names = path.partition(":")
    target: Any = load_module(module_name)
    for name in names.split("."):
        if not hasattr(target, name):
            known = [attribute for attribute in vars(target) if not attribute.startswith("_")]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise PluginError(f"{path}: {_where(module_name)} has no {name!r}{hint}")
        target = getattr(target, name)
    return target


def load_module(name: str) -> ModuleType:
    """Import a module from Python's path or else from the working directory.

    The running script counts as the module named after its file and is not executed again. Raises
    PluginError with a message that names the line at fault.
    """
    if name in sys.modules:
        return sys.modules[name]
    if name == _main_name():
        return sys.modules.setdefault(name, sys.modules["__main__"])
    _importing.append(name)
    try:
        _search_working_directory_last()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module or one of its parent packages is missing, not something that it imports.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise PluginError(
                f"the module {name!r} is not found beside the study's file, in the working "
                f"directory {Path.cwd()}, or among the installed packages: correct the name, put "
                "the file there, install its package, or add its folder to PYTHONPATH"
            ) from error
        raise PluginError(_failure(name, error)) from error
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # anything that the module's code raises
        raise PluginError(_failure(name, error)) from error
    finally:
        _importing.pop()


def refuse_while_importing() -> None:
    """Raise PluginError if called while a plugin is being imported, which must not run a study."""
    if _importing:
        raise PluginError(
            f"the module {_importing[0]!r} runs a study when it is imported: put that behind "
            '`if __name__ == "__main__":`'
        )


def import_path(thing: Any) -> str:
    """The import path of a class or function, including those defined by the running script.

    Raises PluginError for an object without one: a lambda, a local function or class, or anything
    defined in an interactive session.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise PluginError(f"{thing!r} is not a class or function of a module: give its import path")
    path = f"{importable(module)}:{name}"
    if not is_import_path(path):
        raise PluginError(
            f"{name} of {module} cannot be imported by its name: define it with `class` or `def` "
            "at the top level of a module whose file name has only letters, digits, '_' and '-'"
        )
    return path


def as_import_path(given: Any) -> Any:
    """The import path of a class or function; other values unchanged. Raises as `import_path`."""
    return import_path(given) if callable(given) else given


def importable(module: str) -> str:
    """The name by which other processes import a module: for the running script, its file's name.

    Raises PluginError for an interactive session, which has no file.
    """
    if module != "__main__":
        return module
    name = _main_name()
    if name is None:
        raise PluginError(
            "it is defined in an interactive session or a notebook, which other processes cannot "
            "import: move it into a file beside the notebook and import it from there"
        )
    return name


def _main_name() -> str | None:
    """The module name of the running script; None in an interactive session."""
    main = sys.modules.get("__main__")
    if (spec := getattr(main, "__spec__", None)) is not None:  # python -m
        return str(spec.name)
    path = getattr(main, "__file__", None)
    return None if path is None else Path(path).stem


def _search_working_directory_last() -> None:
    """Append the working directory to `sys.path`, permanently: its modules may import others
    later."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _failure(name: str, error: BaseException) -> str:
    """A message with the error that a module's import raised, and its line in the module's code."""
    frames = traceback.extract_tb(error.__traceback__)
    plugin_frames = [frame for frame in frames if "importlib" not in frame.filename][1:]
    where = (
        f" ({plugin_frames[-1].filename}, line {plugin_frames[-1].lineno})" if plugin_frames else ""
    )
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}, line {error.lineno})"
    reason = " ".join(str(error).split()) or "no message"
    return f"the module {name!r} cannot be imported: {type(error).__name__}: {reason}{where}"


def _where(module_name: str) -> str:
    path = getattr(sys.modules.get(module_name), "__file__", None)
    return f"the module {module_name!r}" + (f" ({path})" if path else "")
