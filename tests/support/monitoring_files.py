"""The Grafana dashboard and the Prometheus configuration that ship with the project."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
SCRAPING = FOLDER / "prometheus.yml"
DISCOVERY = "/tmp/ray/prom_metrics_service_discovery.json"
"""Where the configuration looks for the nodes of a cluster."""
TARGET = "127.0.0.1:8090"
"""Where it looks for a study's own Ray."""


def dashboard():
    return json.loads((FOLDER / "grafana.json").read_text())


def expressions():
    """The PromQL of every panel, by the panel's title."""
    return {
        panel["title"]: target["expr"]
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }


def variables():
    """The queries of the variables that are filled from Prometheus, by name."""
    return {
        variable["name"]: variable["query"]["query"]
        for variable in dashboard()["templating"]["list"]
        if variable["type"] == "query"
    }


def selectors(expression):
    """The metrics that PromQL names, each with the labels that it is selected by."""
    found = re.findall(r"\b(ray_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*=~?", labels))) for name, labels in found]


def filled_in(expression, study, trial=".*"):
    """The expression as Grafana sends it."""
    for name, value in {"$study": study, "$trial": trial, "$__range": "1h"}.items():
        expression = expression.replace(name, value)
    return expression
