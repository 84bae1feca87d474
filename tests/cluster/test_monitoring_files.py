"""The dashboard asks for what is exported, all of it, and by tags that it has."""

import re
import shutil
import subprocess

import pytest
from monitoring_files import (
    DISCOVERY,
    FOLDER,
    SCRAPING,
    TARGET,
    dashboard,
    expressions,
    selectors,
    variables,
)

from conspo_study.cluster.connection import METRICS_PORT
from conspo_study.cluster.prometheus import METRICS

TAGS = {f"ray_{metric.name}": set(metric.tags) for metric in METRICS}
PROMQL = {"sum", "avg", "max", "min", "by", "max_over_time"}


def test_panels_show_exactly_what_is_exported():
    shown = {name for expr in expressions().values() for name, _ in selectors(expr)}
    assert shown == TAGS.keys()
    assert {name for query in variables().values() for name, _ in selectors(query)} <= TAGS.keys()


@pytest.mark.parametrize("expression", expressions().values(), ids=expressions())
def test_an_expression_holds_nothing_but_functions_metrics_and_their_tags(expression):
    (found,) = selectors(expression)
    name, labels = found
    assert labels <= TAGS[name]
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", expression)
    grouped = set(re.search(r"by \(([^)]*)\)", plain).group(1).split(", "))
    assert grouped <= TAGS[name]
    assert set(re.findall(r"[a-z_]\w*", plain)) - PROMQL - grouped == {name}


def test_legends_name_tags_that_the_expression_leaves():
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            grouped = re.search(r"by \(([^)]*)\)", target["expr"]).group(1).split(", ")
            used = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert used and set(used) <= set(grouped), panel["title"]


def test_study_and_trial_can_be_chosen_and_every_panel_follows():
    assert list(variables()) == ["study", "trial"]
    for title, expression in expressions().items():
        (found,) = selectors(expression)
        assert 'study="$study"' in expression, title
        assert ('trial=~"$trial"' in expression) == ("trial" in TAGS[found[0]]), title


def test_panels_have_numbers_of_their_own_and_do_not_overlap():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24  # columns of Grafana's grid


def test_the_configuration_scrapes_the_port_that_the_documentation_sets_and_a_cluster():
    assert f'targets: ["{TARGET}"]' in SCRAPING.read_text()
    port = TARGET.rpartition(":")[2]
    assert f"{METRICS_PORT}={port} " in (FOLDER.parent / "watching.md").read_text()


def test_prometheus_accepts_the_configuration_that_reads_ray_s_file():
    assert DISCOVERY in SCRAPING.read_text()
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "config", str(SCRAPING)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
