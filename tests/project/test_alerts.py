"""The alert rules and the dashboard ask for metrics and labels that really exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from django.test import Client

from scans import measures
from scans.models import Tally, Worker
from tests.project.reading_metrics import samples

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "sentrascan.rules.yml"
CONFIGURATION = RULES.with_name("prometheus.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "sentrascan.json"
# Prometheus itself adds these to whatever it reads, and this metric to each instance.
ADDED = {"job", "instance"}
OF_PROMETHEUS = {"up": set[str]()}

pytestmark = pytest.mark.django_db


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[tuple[str, str]]:
    """Return every expression with the name of what holds it."""
    asked = [(rule["alert"], rule["expr"]) for rule in alerts()]
    for panel in panels():
        asked += [(panel["title"], target["expr"]) for target in panel["targets"]]
    # Grafana puts a length of time in the place of its variable.
    return [(name, text.replace("$__rate_interval", "5m")) for name, text in asked]


def nodes(expression: Any) -> Iterator[Any]:
    """Yield the expression and everything in it."""
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "args", "vector_selector"):
        below = getattr(expression, name, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None:
                yield from nodes(one)


def selectors(expression: Any) -> list[Any]:
    found = (n for n in nodes(expression) if isinstance(n, promql.VectorSelector))
    return list({str(one): one for one in found}.values())


def wrong(text: str, known: dict[str, set[str]]) -> list[str]:
    """Return what `text` asks for and does not exist; raise where it is no PromQL."""
    tree = promql.parse(text)
    found, labels = [], set(ADDED)
    for selector in selectors(tree):
        if selector.name not in known:
            found.append(f"there is no metric {selector.name}")
            continue
        of_metric = known[selector.name] | ADDED
        labels |= of_metric
        found += [
            f"{selector.name} has no label {matcher.name}"
            for matcher in selector.matchers.matchers
            if matcher.name not in of_metric
        ]
    for node in nodes(tree):
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql.AggregateExpr) and modifier is not None:
            found += [f"no label {n}" for n in modifier.labels if n not in labels]
    return found


@pytest.fixture
def known(client: Client) -> dict[str, set[str]]:
    """Every metric that exists, and the labels that it has."""
    measures.note_task("reap")
    Worker.objects.create(
        name="here:1",
        scanners={"modelaudit": {"status": "available", "version": "1"}},
    )
    Tally.objects.add({(measures.SCAN_SECONDS, "model,0.5"): 1})
    client.get("/livez")
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    for name, labels in samples(client.get("/metrics").content.decode()):
        found.setdefault(name, set()).update(dict(labels))
    return found


def test_every_expression_asks_for_what_exists(known: dict[str, set[str]]) -> None:
    asked = expressions()
    assert len(asked) > 25
    assert {name: wrong(text, known) for name, text in asked if wrong(text, known)} == (
        {}
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max(sentrascan_queue_length)", "no metric sentrascan_queue_length"),
        ('sentrascan_scans_total{state="failed"}', "no label state"),
        ("sum by (tool) (sentrascan_scanner_up)", "no label tool"),
        ("rate(sentrascan_http_requests_total{path='/'}[5m])", "no label path"),
    ],
)
def test_it_sees_what_does_not_exist(
    known: dict[str, set[str]], text: str, complaint: str
) -> None:
    assert any(complaint in one for one in wrong(text, known))
    assert wrong("max(sentrascan_queue_depth)", known) == []


def test_what_the_database_tells_is_never_added_up_over_replicas() -> None:
    added_up = []
    for name, text in expressions():
        for node in nodes(promql.parse(text)):
            if not isinstance(node, promql.AggregateExpr) or str(node.op) != "sum":
                continue
            is_each = node.modifier is not None and "instance" in node.modifier.labels
            # Taken once for each scanner before it is added.
            is_taken = isinstance(node.expr, promql.AggregateExpr)
            if is_each or is_taken:
                continue
            names = {selector.name for selector in selectors(node)}
            added_up += [
                (name, one)
                for one in names
                if not one.startswith("sentrascan_http_") and one != "up"
            ]
    assert added_up == []


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert {"summary", "action"} == set(rule["annotations"]), rule["alert"]
        assert rule["for"]
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)


def test_a_summary_names_only_labels_that_its_expression_leaves() -> None:
    for rule in alerts():
        used = set(
            re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
        )
        kept = {
            label
            for node in nodes(promql.parse(rule["expr"]))
            if isinstance(node, promql.AggregateExpr) and node.modifier
            for label in node.modifier.labels
        }
        assert used <= kept, rule["alert"]


def test_the_dashboard_is_a_grid_without_overlaps() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


def test_the_example_configuration_reads_these_rules() -> None:
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    assert configuration["rule_files"] == [RULES.name]
    [job] = configuration["scrape_configs"]
    asked = {name for _, text in expressions() for name in _jobs(text)}
    assert asked == {job["job_name"]}


def _jobs(text: str) -> set[str]:
    return {
        matcher.value
        for selector in selectors(promql.parse(text))
        for matcher in selector.matchers.matchers
        if matcher.name == "job"
    }


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_promtool_takes_them() -> None:
    command = [str(shutil.which("promtool")), "check", "config", str(CONFIGURATION)]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
