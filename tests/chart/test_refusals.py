"""What the chart refuses, and what it says: the place, what is wrong there, and what to do."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Chart

CASES = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["told"][:60] for case in CASES])
def test_values_that_cannot_work_are_refused(chart: Chart, case: dict[str, Any]) -> None:
    """Typos, wrong types, and what does not go together: the place, what is wrong, what to do."""
    assert chart.refusal(case["values"]) == [case["told"]]


def test_conditions_need_a_newer_kubernetes(chart: Chart) -> None:
    """``matchConditions`` of one's own are refused where the API server would ignore them."""
    values = {"webhook": {"matchConditions": [{"name": "a", "expression": "true"}]}}
    assert chart.refusal(values, kubernetes="1.27.3") == [
        "webhook.matchConditions: Kubernetes v1.27.3 has none, 1.28 or newer does; leave them out"
    ]


def test_a_release_that_no_service_can_be_called_after(chart: Chart) -> None:
    """A release whose name begins with a digit needs a name for its objects."""
    (told,) = chart.refusal({}, release="1st")
    assert told == (
        'fullnameOverride: without it the objects would be called "1st-vci-webhook", which no'
        " Service can be; give a name of a-z, 0-9 and -, beginning with a letter"
    )


def test_everything_that_is_wrong_is_named_at_once(chart: Chart) -> None:
    """Several typos need one attempt."""
    told = chart.refusal({"image": {"tagg": "1"}, "replica": 3, "server": {"drain": 1}})
    assert sorted(told) == [
        "- at '': additional properties 'replica' not allowed",
        "- at '/image': additional properties 'tagg' not allowed",
        "- at '/server': additional properties 'drain' not allowed",
    ]


def test_an_old_kubernetes_is_refused(chart: Chart) -> None:
    """Before 1.26 nothing is rendered."""
    done = chart.attempt({}, kubernetes="1.25.9")
    assert done.returncode
    assert "requires kubeVersion: >=1.26.0-0 which is incompatible" in done.stderr
