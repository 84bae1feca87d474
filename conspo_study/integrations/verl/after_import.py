"""Acts on a module as soon as it has been imported, without importing it.

verl loads its plugins while `import verl` is still running, in every process: to import the modules
that a plugin changes would load all of verl everywhere, and in a circle.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Action = Callable[[Any], None]


def after_import(name: str, action: Action) -> None:
    """Call `action(module)` once, right after the module's code has run, or now if it has."""
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        action(module)
        return
    finder = next((one for one in sys.meta_path if isinstance(one, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.actions.setdefault(name, []).append(action)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the others find, and has the actions done after it."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Action]] = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.actions:
            return None
        actions = self.actions.pop(fullname)  # so that the others are asked now
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            self.actions[fullname] = actions
            return None
        spec.loader = _Loader(spec.loader, actions)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, actions: list[Action]) -> None:
        self._loader = loader
        self._actions = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            action(module)
