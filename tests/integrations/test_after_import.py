"""Actions after an import: without importing, once, also for modules that are imported already."""

import importlib
import sys

import pytest

from conspo_study.integrations.verl.after_import import after_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that can be imported and has not been."""
    (tmp_path / "imported_later.py").write_text("from math import pi\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "imported_later"
    sys.modules.pop("imported_later", None)


def test_the_action_follows_the_modules_code_and_nothing_is_imported_for_it(module):
    seen = []
    after_import(module, lambda it: seen.append(it.value))
    after_import(module, lambda it: seen.append(-it.value))
    assert module not in sys.modules and not seen
    imported = importlib.import_module(module)
    assert seen == [1, -1]
    assert imported.__spec__.loader is imported.__loader__
    assert type(imported.__loader__).__name__ == "SourceFileLoader"
    importlib.reload(imported)
    assert seen == [1, -1]


def test_a_module_that_is_imported_is_acted_on_now(module):
    importlib.import_module(module)
    seen = []
    after_import(module, lambda it: seen.append(it.value))
    assert seen == [1]


def test_a_module_that_is_missing_stays_missing():
    after_import("no_such_module_at_all", pytest.fail)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        importlib.import_module("no_such_module_at_all")


def test_one_finder_serves_all(module):
    before = len(sys.meta_path)
    after_import(module, lambda it: None)
    after_import("another_module_of_later", lambda it: None)
    assert len(sys.meta_path) <= before + 1
