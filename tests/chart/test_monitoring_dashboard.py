"""The dashboard: every panel is in its place, and asks for what is there."""

import json
import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.chart.collected import Collected, collect
from tests.chart.promtool import Case, Promtool, holding
from tests.chart.rendering import CHART, Chart
from tests.cluster.binaries import Binaries
from tests.contract.conftest import write_pair
from tests.contract.everything import do_everything
from tests.contract.serving import serve_thread
from webhook.tls_pair import TlsFiles

FILE = CHART / "dashboards" / "vci-webhook.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
CHOSEN = {
    "$namespace": "vci-webhook",
    "$job": "vci-webhook",
    "$__rate_interval": "5m",
    "$__range": "1h",
}
UNITS = {"bytes", "cps", "none", "percentunit", "reqps", "s"}  # of Grafana's own names
WIDTH = 24
CONFIGMAP_BYTES = 1 << 20


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    """All that Prometheus has of a release, its server a real one to which everything happened."""
    directory = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.crt")
    write_pair(directory, ca.issue_cert("localhost", "127.0.0.1"))
    with serve_thread(TlsFiles(directory)) as server:
        do_everything(server)
        yield collect(server.metrics)


def _chosen(expression: str) -> str:
    """Put what somebody has chosen in place of the variables."""
    for name, value in CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def _area(panel: Any) -> tuple[int, int, int, int]:
    grid = panel["gridPos"]
    return grid["x"], grid["y"], grid["x"] + grid["w"], grid["y"] + grid["h"]


@pytest.mark.parametrize(
    ("title", "target"), TARGETS, ids=[f"{t}-{x['refId']}" for t, x in TARGETS]
)
def test_a_panel_asks_for_what_is_there(collected: Collected, title: str, target: Any) -> None:
    """Each metric exists, with each label that is asked for, and our own are of one release."""
    expression = target["expr"]
    assert not list(collected.misses(_chosen(expression))), title
    ours = re.findall(r"\b(?:vci_webhook|process|up)\w*(\S)", expression)
    assert set(ours) <= {"{"}
    for selector in re.findall(r"\b(?:vci_webhook_\w+|process_\w+|up)\{([^}]*)", expression):
        assert selector.startswith('namespace="$namespace", job=')


def test_every_panel_finds_something(
    collected: Collected, programs: Binaries, tmp_path: Path
) -> None:
    """Prometheus evaluates each query of a release that works, and none comes out empty."""
    expressions = [holding(_chosen(target["expr"])) for _, target in TARGETS]
    promtool = Promtool(programs["promtool"], tmp_path)
    assert promtool.judge([], Case("all", collected.series, 60, expressions)) == ""


def test_alerts_ask_for_what_is_there(chart: Chart, collected: Collected) -> None:
    """Each metric of each alert exists, with its labels."""
    values = {"prometheusRule": {"enabled": True, "quietHours": 2}}
    groups = chart.render(values).get("PrometheusRule")["spec"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert not list(collected.misses(rule["expr"])), rule["alert"]


def test_the_legend_names_what_is_left() -> None:
    """A label in a legend is one that the query keeps."""
    for title, target in TARGETS:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        kept = [set(re.split(r", ?", by)) for by in re.findall(r"by \(([^)]*)\)", target["expr"])]
        if kept:
            assert named <= kept[0] - {"le"}, title
        elif re.match(r"(sum|max|min|count)\(", target["expr"]):
            assert not named, title


def test_panels_fill_rows_and_do_not_overlap() -> None:
    """Each line of panels is as wide as the page, and nothing lies above anything else."""
    panels = DASHBOARD["panels"]
    for (left, top, right, bottom), other in combinations(map(_area, panels), 2):
        apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        assert apart
    lines: dict[int, int] = {}
    for panel in panels:
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {WIDTH}
    order = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in panels]
    assert order == sorted(order)
    assert all(above["gridPos"]["y"] <= below["gridPos"]["y"] for above, below in pairwise(panels))


def test_each_panel_says_what_it_shows() -> None:
    """It has a number and a title of its own, a description, a unit, and the chosen data source."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == [chr(ord("A") + number) for number in range(len(refs))]


def test_variables_choose_among_the_releases(collected: Collected) -> None:
    """Data source, namespace and release can be chosen; each is used, and no other is."""
    assert list(VARIABLES) == ["datasource", "namespace", "job"]
    text = json.dumps(DASHBOARD)
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == set(VARIABLES)
    for name in ("namespace", "job"):
        asked = re.fullmatch(
            r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", VARIABLES[name]["definition"]
        )
        assert asked
        assert asked[2] == name
        assert asked[2] in collected.labels()[asked[1]]


def test_grafana_reads_it() -> None:
    """It has a schema that Grafana 10 and newer read, and nothing of the server it was made on."""
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["uid"] == "vci-webhook"
    assert "id" not in DASHBOARD
    assert not any(each["current"] or each["options"] for each in VARIABLES.values())
    assert {panel["type"] for panel in DASHBOARD["panels"]} == {"row", "stat", "timeseries"}


def test_the_configmap_has_it_as_it_is(chart: Chart) -> None:
    """The sidecar finds it by its label, and what Helm renders is the file as it is."""
    found = chart.render({"dashboard": {"enabled": True, "labels": {"team": "batch"}}})
    configmap = found.get("ConfigMap", "vci-webhook-dashboard")
    assert {"grafana_dashboard": "1", "team": "batch"}.items() <= configmap["metadata"][
        "labels"
    ].items()
    assert configmap["data"] == {FILE.name: FILE.read_text("utf-8").rstrip("\n")}
    assert len(configmap["data"]["vci-webhook.json"]) < CONFIGMAP_BYTES
