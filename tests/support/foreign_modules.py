"""A fixture: a folder of modules that strangers wrote, forgotten again afterwards."""

import sys

import pytest

from conspo_study.config.objectives import OPTIONS


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Writes a module, or a file of a package, into a folder that is searched for modules."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before, names = set(sys.modules), set(OPTIONS)

    def write(name, text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    for name in set(OPTIONS) - names:
        del OPTIONS[name]
