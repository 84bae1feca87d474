"""The files of a plugin are found, hashed and copied, whatever has been imported."""

import sys

import pytest

from conspo_study.plugins import PluginError, PluginSources, find_sources, missing_modules, ship


def test_a_module_comes_with_what_it_imports_beside_it_and_no_more(place):
    place(
        "losses.py", "import json\nimport helpers\nfrom deep.inner import x\nimport conspo_study\n"
    )
    place("helpers.py", "def f():\n    import lazy\n")
    place("lazy.py", "import helpers\n")
    place("deep/__init__.py", "")
    place("deep/inner.py", "x = 1\n")
    place("deep/words.txt", "a b c\n")
    place("deep/__pycache__/inner.pyc", "")
    place("deep/.hidden", "")
    place("unrelated.py", "")
    found = find_sources(["losses"])
    assert sorted(found.copied) == [
        *("deep/__init__.py", "deep/inner.py", "deep/words.txt"),
        *("helpers.py", "lazy.py", "losses.py"),
    ]
    assert not found.installed


def test_a_module_of_a_package_brings_the_whole_package(place):
    place("pkg/__init__.py", "")
    place("pkg/sub/__init__.py", "")
    place("pkg/sub/losses.py", "from ..other import x\n")
    place("pkg/other.py", "x = 1\n")
    assert sorted(find_sources(["pkg.sub.losses"]).copied) == [
        *("pkg/__init__.py", "pkg/other.py", "pkg/sub/__init__.py", "pkg/sub/losses.py"),
    ]


def test_the_hash_follows_the_files_and_not_what_was_imported_before(place):
    path = place("losses.py", "import helpers\n")
    place("helpers.py", "x = 1\n")
    before = find_sources(["losses"]).hashes
    assert list(before) == ["plugin helpers.py", "plugin losses.py"]
    place("helpers.py", "x = 2\n")
    after = find_sources(["losses"]).hashes
    assert before["plugin losses.py"] == after["plugin losses.py"]
    assert before["plugin helpers.py"] != after["plugin helpers.py"]
    assert path.exists()


def test_an_installed_package_is_hashed_and_stays_where_it_is():
    found = find_sources(["tyro"])
    assert not found.copied
    assert "plugin tyro/__init__.py" in found.hashes
    assert found.places == {"tyro": None}


def test_a_copy_holds_the_files_of_now_and_nothing_of_before(place, tmp_path):
    target = tmp_path / "plugins"
    place("losses.py", "import helpers\n")
    place("helpers.py", "")
    ship(find_sources(["losses"]), target)
    place("losses.py", "x = 1\n")
    sys.modules.pop("losses")
    ship(find_sources(["losses"]), target)
    assert [path.name for path in target.iterdir()] == ["losses.py"]
    ship(PluginSources(), target)
    assert not target.exists()


def test_a_link_in_place_of_the_copy_is_replaced_and_not_followed(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("mine")
    (tmp_path / "plugins").symlink_to(elsewhere)
    place("losses.py", "")
    ship(find_sources(["losses"]), tmp_path / "plugins")
    assert (elsewhere / "kept.txt").read_text() == "mine"
    assert not (tmp_path / "plugins").is_symlink()


def test_what_is_too_large_to_copy_is_refused(place, monkeypatch):
    monkeypatch.setattr("conspo_study.plugins.sources.MOST_BYTES", 1 << 20)
    place("pkg/__init__.py", "")
    place("pkg/weights.bin", "x" * (2 << 20))
    with pytest.raises(PluginError, match=r"2 MiB.*at most 1 MiB"):
        find_sources(["pkg"])


def test_a_module_without_a_source_file_is_refused():
    with pytest.raises(PluginError, match="no source file"):
        find_sources(["sys"])


def test_missing_modules_are_told_without_importing_any(place):
    place("noisy/__init__.py", "raise RuntimeError")
    assert missing_modules(["noisy.losses", "nowhere", "pkg.sub"]) == ["nowhere", "pkg.sub"]
    assert "noisy" not in sys.modules
