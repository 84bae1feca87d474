"""The source files of plugins, their hashes, and a copy for workers to import.

A plugin is a module beside a study's file or in an installed package. A module beside the study's
file, or its whole package, is copied into the results directory, with every module in the same
folder that it imports; the copy depends on the files alone, not on what a process has imported. An
installed package is hashed but not copied: every node must have it.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path

from conspo_study.plugins.resolve import PluginError, load_module

OWN = frozenset({"conspo_study", "analysis"})
"""Packages of this project, which the study's code hash covers."""
MOST_BYTES = 64 << 20
"""Maximum total size of copied files; more is probably a folder of data, not a plugin."""


@dataclass(frozen=True, slots=True)
class PluginSources:
    """The files of a study's plugins."""

    copied: Mapping[str, Path] = field(default_factory=dict)
    """Path relative to the folder on the module search path -> the file."""
    installed: Mapping[str, Path] = field(default_factory=dict)
    """The same for installed packages."""
    places: Mapping[str, Path | None] = field(default_factory=dict)
    """Module -> the folder that contains it or its package; None for an installed one."""

    @property
    def hashes(self) -> dict[str, str]:
        """12 hex digits of each file's SHA-256, by `plugin <path>`."""
        files = {**self.copied, **self.installed}
        return {
            f"plugin {name}": hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            for name, path in sorted(files.items())
        }


def find_sources(modules: Iterable[str]) -> PluginSources:
    """The source files of these modules, which are imported if they are not yet.

    Raises PluginError for a module without a source file and for packages that are too large.
    """
    copied: dict[str, Path] = {}
    installed: dict[str, Path] = {}
    places: dict[str, Path | None] = {}
    for name in sorted(set(modules)):
        file = getattr(load_module(name), "__file__", None)
        if file is None or not Path(file).is_file():
            raise PluginError(f"the module {name!r} has no source file for workers to import")
        root = _root(name, Path(file).resolve())
        if _is_installed(root):
            installed |= _files(root, name)
            places[name] = None
        else:
            copied |= _with_neighbours(root, name)
            places[name] = root
    size = sum(path.stat().st_size for path in copied.values())
    if size > MOST_BYTES:
        raise PluginError(
            f"the packages of {', '.join(sorted(set(modules)))} hold {size >> 20} MiB, which would "
            f"be copied into the results directory (at most {MOST_BYTES >> 20} MiB): move the "
            "module out of its package, or install the package"
        )
    return PluginSources(copied, installed, places)


def ship(sources: PluginSources, folder: Path) -> None:
    """Fill `folder` with the copied files and nothing else; without files, remove it."""
    if folder.is_symlink():
        folder.unlink()
    if folder.exists():
        shutil.rmtree(folder)
    for name, path in sources.copied.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # which follows no link
            file.write(path.read_bytes())


def search_in(folder: str) -> None:
    """Put `folder` first on the module search path."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def missing_modules(modules: Iterable[str]) -> list[str]:
    """The modules whose top-level package or module does not exist. Imports nothing."""
    places = [*sys.path, str(Path.cwd())]
    return [
        name
        for name in modules
        if name not in sys.modules and PathFinder.find_spec(name.partition(".")[0], places) is None
    ]


def _root(module: str, file: Path) -> Path:
    """The folder on the module search path that contains the module's top-level package."""
    depth = len(module.split(".")) - (file.name != "__init__.py")
    return file.parents[depth]


def _is_installed(root: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    places |= {*site.getsitepackages(), site.getusersitepackages()}
    return any(root.is_relative_to(Path(place).resolve()) for place in places if place)


def _files(root: Path, module: str) -> dict[str, Path]:
    """The file of a top-level module, or all files of its package except caches and links."""
    top = module.partition(".")[0]
    package = root / top
    if not package.is_dir():
        return {f"{top}.py": root / f"{top}.py"}
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(package.rglob("*"))
        if path.is_file() and not path.is_symlink() and not _is_hidden(path.relative_to(root).parts)
    }


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in parts)


def _with_neighbours(root: Path, module: str) -> dict[str, Path]:
    """The files of a module, and of the modules in the same folder that it imports."""
    collected: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        files = _files(root, waiting.pop())
        collected |= files
        for path in files.values():
            for name in _imported(path):
                top = name.partition(".")[0]
                known = f"{top}.py" in collected or any(f.startswith(f"{top}/") for f in collected)
                if not known and top not in OWN and _lies_in(root, top):
                    waiting.append(top)
    return collected


def _lies_in(root: Path, top: str) -> bool:
    return (root / f"{top}.py").is_file() or (root / top / "__init__.py").is_file()


def _imported(path: Path) -> Iterator[str]:
    """The modules that a source file imports by absolute name."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return  # importing it will report the error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
