"""Whoever names a folder without a study is told where studies are."""

import os

from conspo_study.results.nearby import no_study_in


def make(folder, age):
    folder.mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    os.utime(folder, (1e9 - age, 1e9 - age))


def test_studies_inside_the_folder_are_named_the_latest_first(tmp_path):
    for age in range(7):
        make(tmp_path / f"s{age}", age)
    said = no_study_in(tmp_path)
    assert "it has no study.json; studies near it: " in said
    assert said.endswith(", ".join(f"{tmp_path}/s{age}" for age in range(5)) + " and 2 more")


def test_studies_beside_a_mistyped_folder_are_named_as_it_was_typed(tmp_path, monkeypatch):
    make(tmp_path / "results" / "margin_sweep", 0)
    monkeypatch.chdir(tmp_path)
    said = no_study_in(tmp_path.__class__("results/margin_swep"))
    assert said == (
        "results/margin_swep is not a results directory: there is no such folder; studies near "
        "it: results/margin_sweep"
    )


def test_without_any_study_nothing_is_suggested(tmp_path):
    assert no_study_in(tmp_path / "a" / "b").endswith("there is no such folder")
