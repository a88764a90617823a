"""The alerts of the chart, judged by Prometheus' own rule engine: when each fires, and when not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.promtool import Case, Promtool
from tests.chart.rendering import ROOT, Chart
from tests.cluster.binaries import Binaries

ALL = {"prometheusRule": {"enabled": True, "quietHours": 2}}
ALERTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text("utf-8"))
SELECTED = {
    "WEBHOOK": 'namespace="vci-webhook", job="vci-webhook"',
    "CERTS": 'namespace="vci-webhook", job="vci-webhook-certs"',
}
COUNTED = "count by (alertname, severity)"
ROW = re.compile(r"^\| `(VciWebhook\w+)` \| (\w+) \| (.+) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def promtool(programs: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Promtool:
    """Have promtool."""
    return Promtool(programs["promtool"], tmp_path_factory.mktemp("promtool"))


@pytest.fixture(scope="module")
def groups(chart: Chart) -> list[Any]:
    """Render all alerts, those too that nobody gets by default."""
    found: list[Any] = chart.render(ALL).get("PrometheusRule")["spec"]["groups"]
    return found


def _rules(groups: list[Any]) -> Iterator[Any]:
    return (rule for group in groups for rule in group["rules"])


def _series(case: Any) -> dict[str, str]:
    """Split name and labels from values, and name the release."""
    series = {}
    for line in case["series"]:
        name, _, values = line.partition("} ")
        for word, labels in SELECTED.items():
            name = name.replace(word, labels)
        series[name + "}"] = values
    return series


def test_prometheus_takes_the_rules(promtool: Promtool, groups: list[Any]) -> None:
    """``promtool check rules`` finds nothing, neither in expressions nor in templates."""
    assert promtool.check(groups) == ""


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_when_it_should(promtool: Promtool, groups: list[Any], name: str) -> None:
    """Over each case's series there are so many alerts of this name and severity, and no more."""
    firing = f'{COUNTED} (ALERTS{{alertname="{name}", alertstate="firing"}})'
    labels = f'{{alertname="{name}", severity="{ALERTS[name]["severity"]}"}}'
    cases = [
        Case(
            case["why"],
            _series(case),
            case["at"],
            expressions=[{"expr": firing, "exp_samples": _samples(labels, case)}],
        )
        for case in ALERTS[name]["cases"]
    ]
    assert promtool.judge(groups, *cases) == ""


def _samples(labels: str, case: Any) -> list[dict[str, Any]]:
    return [{"labels": labels, "value": case["alerts"]}] if "alerts" in case else []


def test_an_alert_says_what_it_knows(promtool: Promtool, groups: list[Any]) -> None:
    """What Prometheus fills in is there: no value is missing, and no template is left."""
    cases = [
        Case(
            case["why"],
            _series(case),
            case["at"],
            alerts=[{"alertname": name, "exp_alerts": []}],  # so it says what there is instead
        )
        for name, alert in ALERTS.items()
        for case in alert["cases"]
        if "alerts" in case
    ]
    told = promtool.judge(groups, *cases)
    for name in ALERTS:
        assert f'alertname="{name}"' in told
    assert told.count("description=") >= len(cases)
    assert not re.search(r"no value|error expanding|\{\{|\(\)| {2}has | by  ", told), told


def test_every_alert_is_shown_to_fire_and_not_to(groups: list[Any]) -> None:
    """alerts.yaml has cases of both kinds for each alert, and for no other."""
    assert set(ALERTS) == {rule["alert"] for rule in _rules(groups)}
    for name, alert in ALERTS.items():
        fires = {"alerts" in case for case in alert["cases"]}
        assert fires == {True, False}, name


def test_the_page_has_the_alerts_and_no_others(groups: list[Any]) -> None:
    """docs/operations.md names each alert and its severity, and says what to do, in this order."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    documented = [match.groups()[:2] for match in ROW.finditer(page)]
    assert documented == [(rule["alert"], rule["labels"]["severity"]) for rule in _rules(groups)]


def test_an_alert_says_what_to_do(groups: list[Any]) -> None:
    """Each has a severity, a summary of one line and a description that ends as a sentence does."""
    for rule in _rules(groups):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
        assert len(summary) < 75
        assert not summary.endswith(".")
        assert description.endswith(".")
        assert "\n" not in description


def test_alerts_are_those_of_one_release(chart: Chart) -> None:
    """Our own metrics are selected by namespace and job: no release alerts for another."""
    values = {"prometheusRule": {"enabled": True}, "fullnameOverride": "placer"}
    rendered = chart.render(values, namespace="elsewhere")
    expressions = [rule["expr"] for rule in _rules(_groups(rendered))]
    selectors = [s for e in expressions for s in re.findall(r"(?:vci_webhook_\w+|up){([^}]*)}", e)]
    assert len(selectors) >= 20
    for selector in selectors:
        assert re.match(r'namespace="elsewhere", job="placer(-certs)?"', selector)


def _groups(rendered: Any) -> list[Any]:
    groups: list[Any] = rendered.get("PrometheusRule", "placer")["spec"]["groups"]
    return groups


@pytest.mark.parametrize("mode", ["certManager", "provided"])
def test_without_the_certs_program_nobody_misses_it(chart: Chart, mode: str) -> None:
    """Where somebody else issues certificates there is no alert about the program that would."""
    certificates = {
        "mode": mode,
        "certManager": {"issuerRef": {"name": "ca"}},
        "provided": {"caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="},
    }
    rendered = chart.render({**ALL, "certificates": certificates})
    names = {rule["alert"] for rule in _rules(rendered.get("PrometheusRule")["spec"]["groups"])}
    assert names == {name for name in ALERTS if not name.startswith("VciWebhookCerts")}


@pytest.mark.parametrize(
    ("thresholds", "lifetime", "told"),
    [
        ({}, "20d", "certificateWarningDays: a certificate is renewed when 6.6 days are left"),
        ({"caDays": 250}, "30d", "caDays: a certificate is renewed when 241 days are left"),
        ({"certificateCriticalDays": 8}, "30d", "certificateCriticalDays: is more than"),
    ],
)
def test_a_threshold_that_is_always_reached_is_refused(
    chart: Chart, thresholds: dict[str, float], lifetime: str, told: str
) -> None:
    """A certificate that was renewed in time is no alert: thresholds that say so are refused."""
    rule = {"enabled": True, "thresholds": thresholds}
    values = {"prometheusRule": rule, "certificates": {"self": {"servingLifetime": lifetime}}}
    (line,) = chart.refusal(values)
    assert line.startswith(f"prometheusRule.thresholds.{told}")
    assert "; give fewer" in line


def test_thresholds_are_parts_of_days_too(chart: Chart, promtool: Promtool) -> None:
    """Certificates that live for a day are judged by hours."""
    thresholds = {"certificateWarningDays": 0.25, "certificateCriticalDays": 0.125}
    rendered = chart.render(
        {
            "prometheusRule": {"enabled": True, "thresholds": thresholds},
            "certificates": {"self": {"servingLifetime": "1d"}},
        }
    )
    groups = rendered.get("PrometheusRule")["spec"]["groups"]
    assert promtool.check(groups) == ""
    assert any("< 21600 >= 10800" in rule["expr"] for rule in _rules(groups))
