"""Whom the API server asks about: both webhook configurations."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import ROOT, VALUES, Chart, Object
from webhook.vci import SYSTEM_NAMESPACES

MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
OPTED_OUT = {"key": "vci-webhook/inject", "operator": "NotIn", "values": ["false"]}


def entries(chart: Chart, values: Any, kind: str = MUTATING, **where: str) -> dict[str, Object]:
    (configuration,) = chart.render(values, **where).of(kind)
    return {each["name"]: each for each in configuration["webhooks"]}


def excluded(*more: str, own: str = "vci-webhook") -> Object:
    names = ["kube-system", "kube-public", "kube-node-lease", own, *more]
    return {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}


def example(kind: str) -> Object:
    """Give what the API server is told by hand."""
    text = (ROOT / "examples" / "webhook-configuration.yaml").read_text("utf-8")
    (found,) = (each for each in yaml.safe_load_all(text) if each["kind"] == kind)
    entry: Object = found["webhooks"][0]
    return entry


@pytest.mark.parametrize(
    ("kind", "name", "path", "differing"),
    [
        (MUTATING, "pods.vci-webhook.io", "/mutate", {"namespaceSelector", "matchConditions"}),
        (VALIDATING, "profile.vci-webhook.io", "/validate", {"matchConditions"}),
    ],
)
def test_it_asks_as_the_example_does(
    chart: Chart, kind: str, name: str, path: str, differing: set[str]
) -> None:
    """The chart calls its Service; all else is the same as by hand, or stricter."""
    found, by_hand = entries(chart, {}, kind)[name], example(kind)
    assert found["clientConfig"] == {
        "service": {
            "name": "vci-webhook",
            "namespace": "vci-webhook",
            "path": path,
            "port": 443,
        }
    }
    rest = by_hand.keys() - {"name", "clientConfig"} - differing
    assert {key: found[key] for key in rest} == {key: by_hand[key] for key in rest}
    assert found.keys() - by_hand.keys() <= {"matchConditions"}


def test_by_default_a_label_opts_a_namespace_in(chart: Chart) -> None:
    """The label of the managed feature selects; four namespaces and a label never are."""
    (entry,) = entries(chart, {}).values()
    assert entry["failurePolicy"] == "Ignore"
    assert entry["namespaceSelector"] == {
        "matchLabels": {"vci": "true"},
        "matchExpressions": [excluded(), OPTED_OUT],
    }
    assert set(excluded()["values"]) == SYSTEM_NAMESPACES | {"vci-webhook"}
    assert entry["objectSelector"] == {"matchExpressions": [OPTED_OUT]}


def test_its_own_namespace_is_never_asked_about(chart: Chart) -> None:
    """Wherever the release is, and each excluded namespace is named once."""
    (entry,) = entries(chart, {}, namespace="batch-system").values()
    assert excluded(own="batch-system") in entry["namespaceSelector"]["matchExpressions"]
    (entry,) = entries(chart, {}, namespace="kube-system").values()
    (named,) = [
        each["values"]
        for each in entry["namespaceSelector"]["matchExpressions"]
        if each["key"] == "kubernetes.io/metadata.name"
    ]
    assert named == ["kube-system", "kube-public", "kube-node-lease"]


def test_all_namespaces_but_these(chart: Chart) -> None:
    """With ``scope: all`` only the exclusions are left."""
    (entry,) = entries(chart, VALUES / "scope-all.yaml").values()
    assert entry["namespaceSelector"] == {"matchExpressions": [excluded(), OPTED_OUT]}


def test_a_selector_of_ones_own(chart: Chart) -> None:
    """A whole LabelSelector can take the place of the label; what is excluded stays so."""
    (entry,) = entries(chart, VALUES / "selector.yaml").values()
    assert entry["namespaceSelector"] == {
        "matchExpressions": [
            {"key": "team", "operator": "In", "values": ["rendering", "training"]},
            {"key": "pinned", "operator": "DoesNotExist"},
            excluded(),
            OPTED_OUT,
        ]
    }


def test_fail_and_more_exclusions(chart: Chart) -> None:
    """Timeout, policy and exclusions are values; the profile is never held back by any of them."""
    (entry,) = entries(chart, VALUES / "fail.yaml").values()
    assert (entry["failurePolicy"], entry["timeoutSeconds"]) == ("Fail", 10)
    assert excluded("monitoring", "cert-manager") in entry["namespaceSelector"]["matchExpressions"]
    (entry,) = entries(chart, VALUES / "fail.yaml", VALIDATING).values()
    assert entry["failurePolicy"] == "Ignore"


def test_the_enforced_entry_has_namespaces_of_its_own(chart: Chart) -> None:
    """No namespace is selected by both entries, and they differ in nothing else but the policy."""
    both = entries(chart, VALUES / "enforced.yaml")
    first, second = both["pods.vci-webhook.io"], both["enforced.vci-webhook.io"]
    assert len(both) == 2
    label = {"key": "vci-webhook/enforced", "operator": "NotIn", "values": ["yes"]}
    assert label in first["namespaceSelector"]["matchExpressions"]
    assert second["namespaceSelector"] == {
        "matchLabels": {"vci-webhook/enforced": "yes"},
        "matchExpressions": [excluded(), OPTED_OUT],
    }
    assert (first["failurePolicy"], second["failurePolicy"]) == ("Ignore", "Fail")
    differing = {"name", "namespaceSelector", "failurePolicy"}
    same = [{key: each[key] for key in each.keys() - differing} for each in both.values()]
    assert same[0] == same[1]


def test_conditions_keep_out_what_the_server_leaves_alone(chart: Chart) -> None:
    """Pods with a node, mirror Pods and Pods of DaemonSets cost no call; yours come behind."""
    names = ["has-no-node", "is-no-mirror", "is-not-of-a-daemonset"]
    (entry,) = entries(chart, {}).values()
    assert [each["name"] for each in entry["matchConditions"]] == names
    (entry,) = entries(chart, VALUES / "conditions.yaml").values()
    assert [each["name"] for each in entry["matchConditions"]] == [*names, "is-of-a-workflow"]


def test_an_old_kubernetes_has_no_conditions(chart: Chart) -> None:
    """Before 1.28 the field is not rendered; the server looks at all of it by itself."""
    for kind in (MUTATING, VALIDATING):
        found = entries(chart, {}, kind, kubernetes="1.27.9").values()
        assert all("matchConditions" not in each for each in found)


@pytest.mark.parametrize(
    ("version", "has"),
    [("v1.28.3-vke.10", True), ("v1.26.10-vke.19", False), ("v1.30.1+k3s1", True)],
)
def test_versions_of_vendors_are_understood(chart: Chart, version: str, *, has: bool) -> None:
    """What a vendor appends to its version changes nothing."""
    (entry,) = entries(chart, {}, kubernetes=version).values()
    assert ("matchConditions" in entry) == has


def test_the_profile_is_the_one_that_is_followed(chart: Chart) -> None:
    """The validating entry asks about the one ConfigMap, by its namespace and its name."""
    (entry,) = entries(chart, VALUES / "profile.yaml", VALIDATING).values()
    assert entry["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    (condition,) = entry["matchConditions"]
    assert '"batch-profile"' in condition["expression"]


def test_cert_manager_is_asked_for_the_bundle(chart: Chart) -> None:
    """Both configurations name the Certificate, which is for the Service and writes the Secret."""
    rendered = chart.render(VALUES / "cert-manager.yaml")
    for kind in (MUTATING, VALIDATING):
        annotations = rendered.get(kind)["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "vci-webhook/vci-webhook"}
    spec = rendered.get("Certificate")["spec"]
    assert "vci-webhook.vci-webhook.svc" in spec["dnsNames"]
    (volume,) = rendered.pods()["vci-webhook"]["volumes"]
    assert spec["secretName"] == volume["secret"]["secretName"]
    issuer = {"name": "cluster-ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert spec["issuerRef"] == issuer
    assert chart.render(VALUES / "cert-manager-own.yaml").of("Certificate") == []


@pytest.mark.parametrize("file", ["defaults", "provided"])
def test_otherwise_cert_manager_is_not_asked(chart: Chart, file: str) -> None:
    """No annotation invites it."""
    rendered = chart.render(Path(VALUES, f"{file}.yaml"))
    assert "annotations" not in rendered.get(MUTATING)["metadata"]
