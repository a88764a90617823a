"""docs/metrics.md lists every metric as it is, and no document names one that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from tests.contract.everything import RULES, do_everything, our_families, profile_of
from tests.contract.serving import ServerThread, serve_thread
from webhook.metrics import PREFIX
from webhook.tls_pair import TlsFiles

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|")
NAME = re.compile(rf"\b({PREFIX}_(?!certs_)\w+)(?:\{{([^}}]*)\}})?")


@pytest.fixture(scope="module")
def families(tls_dir: Path) -> Iterator[list[Metric]]:
    """All metrics of a server to which everything has happened once, with all labels."""
    with serve_thread(TlsFiles(tls_dir)) as server:
        do_everything(server)
        yield our_families(server)


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for s in family.samples for n in s.labels if n != "le"))


def test_the_table_is_complete_and_true(families: list[Metric]) -> None:
    """Each row has name, type, labels and help as Prometheus gets them; none is missing."""
    rows = [match.groups() for match in ROW.finditer((DOCS / "metrics.md").read_text())]
    documented = {row[0]: row[1:] for row in rows}
    served = {
        _name(family): (
            family.type,
            ", ".join(f"`{label}`" for label in _labels(family)),
            family.documentation,
        )
        for family in families
    }
    assert documented == served


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_no_page_names_a_metric_that_does_not_exist(families: list[Metric], page: Path) -> None:
    """Neither do alerts: name and labels of each expression are there."""
    samples = {
        name: set(_labels(family)) | {"le"}
        for family in families
        for name in {_name(family), *(sample.name for sample in family.samples)}
    }
    for name, matchers in NAME.findall(page.read_text()):
        assert name in samples, f"{page.name} names {name}"
        used = set(re.findall(r"(\w+) ?(?:=|!|,|$)", matchers))
        assert used <= samples[name], f"{page.name}: {name} has no labels {used - samples[name]}"


def test_metrics_have_units_and_no_names_of_pods(families: list[Metric]) -> None:
    """Times are seconds, sizes are bytes, and no label has a value that comes from a request."""
    labels = {label for family in families for label in _labels(family)}
    assert not labels & {"pod", "namespace", "name", "uid", "user"}
    for family in families:
        if "duration" in family.name or "timestamp" in family.name:
            assert family.name.endswith("_seconds")
        values = {str(value) for sample in family.samples for value in sample.labels.values()}
        assert not values & {"argo", "hello-"}


def test_rules_that_are_gone_are_not_counted(server_thread: ServerThread) -> None:
    """The labels are those of the active profile, from the start with zero; others disappear."""
    metrics = server_thread.metrics
    metrics.profile_active(profile_of(*RULES))
    assert server_thread.metric("rule_matches_total", rule="light", mode="active") == 0
    metrics.profile_active(profile_of(RULES[1]))
    rules = [
        sample.labels["rule"]
        for family in metrics.registry.collect()
        if family.name == f"{PREFIX}_rule_matches"
        for sample in family.samples
    ]
    assert rules == ["dark"]
