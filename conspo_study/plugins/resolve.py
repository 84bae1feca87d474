"""Objects by their import path, `module:name`, or by the name that an installed package gives them.

A package gives names through the entry-point groups `conspo_study.objectives` and
`conspo_study.rewards`; the value of an entry point is an import path.
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
    """A plugin cannot be used; the message says which, why, and what to do."""


def is_import_path(text: str) -> bool:
    """Whether `text` has the form `package.module:name`."""
    return _PATH.fullmatch(text) is not None


def path_of(name: str, group: str) -> str | None:
    """The import path that `name` is, or that an installed package gives it in an entry-point
    group; None for any other name. Raises PluginError when several packages give it."""
    if is_import_path(name):
        return name
    found = {
        point.value: point for point in importlib.metadata.entry_points(group=group, name=name)
    }
    if len(found) > 1:
        owners = ", ".join(sorted(str(point.dist and point.dist.name) for point in found.values()))
        raise PluginError(
            f"{name!r} is given by several installed packages ({owners}): write the import path, "
            f"such as {min(found)}"
        )
    for value in found:
        if not is_import_path(value):
            raise PluginError(
                f"the entry point {name!r} of {group} is {value!r}, which is not of the form "
                "package.module:name"
            )
    return next(iter(found), None)


def module_of(path: str) -> str:
    """The module part of an import path."""
    return path.partition(":")[0]


def load(path: str) -> Any:
    """The object at an import path. Raises PluginError."""
    module_name, _, names = path.partition(":")
    found: Any = load_module(module_name)
    for name in names.split("."):
        if not hasattr(found, name):
            known = [one for one in vars(found) if not one.startswith("_")]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise PluginError(f"{path}: {_where(module_name)} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def load_module(name: str) -> ModuleType:
    """Import a module from Python's path or, failing that, the working directory.

    The running script is a module under the name of its file: what it defines is not defined
    again. Raises PluginError in a message that names the line at fault.
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
        # The module itself or a package that it is in, rather than something that it imports.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise PluginError(
                f"the module {name!r} is not found beside the study's file, in the working "
                f"directory {Path.cwd()}, or among the installed packages: correct the name, put "
                "the file there, install its package, or add its folder to PYTHONPATH"
            ) from error
        raise PluginError(_failure(name, error)) from error
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module's own code does
        raise PluginError(_failure(name, error)) from error
    finally:
        _importing.pop()


def refuse_while_importing() -> None:
    """Raise PluginError where a module that is being imported as a plugin runs a study."""
    if _importing:
        raise PluginError(
            f"the module {_importing[0]!r} runs a study when it is imported: put that behind "
            '`if __name__ == "__main__":`'
        )


def import_path(thing: Any) -> str:
    """The import path of a class or function, also of one that the running script defines.

    Raises PluginError for one that has none: a lambda, what a function defines, or what an
    interactive session does.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise PluginError(f"{thing!r} is no class or function of a module: give its import path")
    path = f"{importable(module)}:{name}"
    if not is_import_path(path):
        raise PluginError(
            f"{name} of {module} cannot be found again by its name: define it with `class` or "
            "`def` at the top of a module, whose file name has letters, digits, '_' and '-' only"
        )
    return path


def importable(module: str) -> str:
    """The name by which other processes can import a module: the file's for the running script.

    Raises PluginError for an interactive session, which has no file.
    """
    if module != "__main__":
        return module
    name = _main_name()
    if name is None:
        raise PluginError(
            "it is defined in an interactive session or a notebook, which other processes cannot "
            "import: write it into a file beside the notebook and import it from there"
        )
    return name


def _main_name() -> str | None:
    """What the running script is called as a module; None in an interactive session."""
    main = sys.modules.get("__main__")
    if (spec := getattr(main, "__spec__", None)) is not None:  # python -m
        return str(spec.name)
    path = getattr(main, "__file__", None)
    return None if path is None else Path(path).stem


def _search_working_directory_last() -> None:
    """For good, since what is imported from there may import more of it later."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _failure(name: str, error: BaseException) -> str:
    """Where in the module's code its import failed, and how."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename][1:]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}, line {error.lineno})"
    reason = " ".join(str(error).split()) or "no message"
    return f"the module {name!r} cannot be imported: {type(error).__name__}: {reason}{where}"


def _where(module_name: str) -> str:
    path = getattr(sys.modules.get(module_name), "__file__", None)
    return f"the module {module_name!r}" + (f" ({path})" if path else "")
