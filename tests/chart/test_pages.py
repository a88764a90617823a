"""What a person reads of the chart is true: the table of values, the notes, the facts about it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, VALUES, Chart
from tools.chart_values import UndocumentedError, put_into, read_rows, write_table
from webhook.profile import parse_profile

TEXT = (CHART / "values.yaml").read_text("utf-8")


def test_the_table_of_values_is_that_of_the_values() -> None:
    """The README is what ``make chart-docs`` writes."""
    page = (CHART / "README.md").read_text("utf-8")
    assert put_into(page, write_table(read_rows(TEXT))) == page


def test_a_value_without_a_word_is_an_error() -> None:
    """Somebody who adds a value has to say what it is for."""
    with pytest.raises(UndocumentedError, match=r"no comment on server\.port, extra; write one"):
        read_rows("server:\n  # -- Told.\n  host: a\n  port: 1\nextra: {}\n")


def test_rows_have_path_default_and_meaning() -> None:
    """Comments may have several lines; a bar in one does not end its cell."""
    text = "# Not this.\na:\n  # -- One | two,\n  # three.\n  b: {c: [1]}\n"
    assert list(map(str, read_rows(text))) == ['| `a.b` | `{"c": [1]}` | One \\| two, three. |']


def test_the_schema_knows_the_values_and_no_others() -> None:
    """Each value has its type in the schema, and the schema has nothing that does not exist."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    known = set(leaves(schema))
    rows = read_rows(TEXT)
    assert {path for path in known if path != "global"} == {row.path for row in rows}


def leaves(schema: dict[str, Any], prefix: str = "") -> list[str]:
    """List what can be set, down to where the rows of the table end."""
    stop = {row.path for row in read_rows(TEXT)}
    found = []
    for key, inner in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        if path in stop or inner.get("additionalProperties") is not False:
            found.append(path)
        else:
            found += leaves(inner, f"{path}.")
    return found


def test_the_chart_has_the_versions_of_the_project() -> None:
    """Chart, application and Python project are released together."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert chart["keywords"] == project["keywords"]
    assert (CHART / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")


def test_the_profile_from_values_is_the_profile(chart: Chart, tmp_path: Path) -> None:
    """A list in the values is the same profile as the JSON of the example, to the last rule."""
    rendered = chart.render(VALUES / "profile.yaml").get("ConfigMap", "batch-profile")
    example = yaml.safe_load((ROOT / "examples" / "vci-profile.yaml").read_text("utf-8"))
    parsed = [parse_profile(each["data"], "1") for each in (rendered, example)]
    assert parsed[0] == parsed[1]
    assert parsed[0][0] is not None
    assert len(parsed[0][0].rules) == 1
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(rendered), "utf-8")
    flags = ("--profile-namespace", "default", "--profile-name", "batch-profile")
    command = (sys.executable, "-m", "webhook", "check", *flags, path)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stdout + done.stderr


def test_rules_can_be_text_too(chart: Chart) -> None:
    """A profile that was copied from a ConfigMap stays as it is."""
    data = chart.render(VALUES / "profile-text.yaml").get("ConfigMap", "vci-profile")["data"]
    assert (
        data == yaml.safe_load((VALUES / "profile-text.yaml").read_text("utf-8"))["profile"]["data"]
    )


def test_what_yaml_makes_of_words_and_numbers_is_understood(chart: Chart) -> None:
    """An unquoted ``off`` is false to YAML, and a number is one: the profile means the same."""
    rule = {"name": "a", "matchAll": True, "priority": 1_500_000, "placement": False}
    values = {"profile": {"create": True, "data": {"selectors": [rule], "tlsEnable": True}}}
    data = chart.render(values).get("ConfigMap", "vci-profile")["data"]
    assert data["tlsEnable"] == "true"
    profile, problems = parse_profile(data, "1")
    assert profile is not None
    assert problems == []
    assert [(each.priority, each.placement) for each in profile.rules] == [(1_500_000, "off")]


def test_the_notes_tell_the_next_three_commands(chart: Chart) -> None:
    """With the user's own names: release, namespace, label, profile."""
    notes = chart.notes({"profile": {"name": "mine"}}, release="trial", namespace="vci-trial")
    assert [line.strip() for line in notes.splitlines() if line.startswith("   ")] == [
        "kubectl label namespace NAMESPACE vci=true",
        "kubectl --namespace kube-system apply --filename vci-profile.yaml",
        "helm test trial --namespace vci-trial",
    ]
    assert notes.startswith("vci-webhook 0.1.0 is installed: release trial, namespace vci-trial.\n")
    assert "ConfigMap kube-system/mine" in notes


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("scope-all", "kubectl label namespace NAMESPACE vci-webhook/inject=false"),
        ("selector", "kubectl get namespaces --show-labels"),
        ("enforced", "With vci-webhook/enforced=yes its Pods are not created while"),
        ("profile", "kubectl --namespace default get configmap batch-profile --output yaml"),
        ("no-tests", "kubectl --namespace vci-webhook rollout status deployment/vci-webhook"),
        ("provided", "create secret tls webhook-certificate --cert tls.crt --key tls.key"),
        ("cert-manager-own", "your Certificate vci-webhook/vci-webhook has written Secret"),
    ],
)
def test_the_notes_are_about_what_was_asked_for(chart: Chart, file: str, told: str) -> None:
    """Each option that changes what comes next changes what is said."""
    assert told in chart.notes(VALUES / f"{file}.yaml")


def test_the_notes_warn_of_the_default_namespace(chart: Chart) -> None:
    """Its own namespace is never asked about, which somebody may not want there."""
    notes = chart.notes({}, namespace="default")
    assert "Pods of namespace default are never placed, since the webhook is in it." in notes
