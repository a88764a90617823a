"""Every right that the chart gives, as a list: a change here is a change of what it may do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import ROOT, VALUES, Chart, Object, Rendered, values_files

FILES = values_files()
CONFIGURATIONS = "mutatingwebhookconfigurations validatingwebhookconfigurations"
ADMISSION = "admissionregistration.k8s.io"

# Account, where it holds (empty: everywhere), group, resources, names, verbs.
Right = tuple[str, str, str, str, str, str]
SERVING: list[Right] = [
    ("vci-webhook", "", "", "namespaces", "", "get list watch"),
    ("vci-webhook", "kube-system", "", "configmaps", "vci-profile", "list watch"),
    ("vci-webhook", "kube-system", "", "events", "", "create patch"),
]
CERTS: list[Right] = [
    ("vci-webhook-certs", "", ADMISSION, CONFIGURATIONS, "vci-webhook", "get watch patch"),
    (
        *("vci-webhook-certs", "vci-webhook", "", "secrets", "vci-webhook-ca vci-webhook-tls"),
        "get watch create patch delete",
    ),
]
TEST: list[Right] = [
    ("vci-webhook-test", "", ADMISSION, CONFIGURATIONS, "vci-webhook", "get"),
    ("vci-webhook-test", "", "", "namespaces", "", "list"),
    ("vci-webhook-test", "vci-webhook", "", "services", "vci-webhook", "get"),
    ("vci-webhook-test", "vci-webhook", "apps", "deployments", "vci-webhook-certs", "get"),
    ("vci-webhook-test", "vci-webhook", "discovery.k8s.io", "endpointslices", "", "list"),
    ("vci-webhook-test", "kube-system", "", "configmaps", "vci-profile", "get"),
]


def rights(objects: Rendered) -> list[Right]:
    """Join bindings with their roles: who may do what, where, and with which names."""
    return sorted(_each(objects))


def _each(objects: Rendered) -> Iterator[Right]:
    for binding in [*objects.of("ClusterRoleBinding"), *objects.of("RoleBinding")]:
        role = objects.get(binding["roleRef"]["kind"], binding["roleRef"]["name"])
        namespace = binding["metadata"].get("namespace", "")
        assert role["metadata"].get("namespace", "") == namespace
        for subject in binding["subjects"]:
            for rule in role["rules"]:
                yield _right(subject, namespace, rule)


def _right(subject: Object, namespace: str, rule: Object) -> Right:
    lists = ("apiGroups", "resources", "resourceNames", "verbs")
    group, resources, names, verbs = (" ".join(rule.get(key, [])) for key in lists)
    return (subject["name"], namespace, group, resources, names, verbs)


def test_these_are_all_rights(chart: Chart) -> None:
    """The server reads, the program writes four objects by name, the test only looks."""
    assert rights(chart.render({})) == sorted([*SERVING, *CERTS, *TEST])


@pytest.mark.parametrize("mode", ["cert-manager", "provided"])
def test_without_the_certs_program_nobody_writes(chart: Chart, mode: str) -> None:
    """In the other modes only the server's rights and the test's are left."""
    assert rights(chart.render(VALUES / f"{mode}.yaml")) == sorted([*SERVING, *TEST])


def test_they_are_no_wider_than_by_hand() -> None:
    """The examples, which people apply without the chart, give the same rights."""
    by_hand = Rendered(
        [
            each
            for name in ("rbac-webhook", "rbac-certs")
            for each in yaml.safe_load_all((ROOT / "examples" / f"{name}.yaml").read_text("utf-8"))
        ]
    )
    assert rights(by_hand) == sorted([*SERVING, *CERTS])


@pytest.mark.parametrize("values", FILES, ids=[path.stem for path in FILES])
def test_no_option_gives_more(chart: Chart, values: Path) -> None:
    """With any option each verb on each resource is one of these: no wildcard, no escalation."""
    known = {
        (group, resource, verb)
        for _, _, group, resources, _, verbs in (*SERVING, *CERTS, *TEST)
        for resource in resources.split()
        for verb in verbs.split()
    }
    given = {
        (group, resource, verb)
        for _, _, group, resources, _, verbs in rights(chart.render(values))
        for resource in resources.split()
        for verb in verbs.split()
    }
    assert given <= known


def test_roles_can_be_left_to_somebody_else(chart: Chart) -> None:
    """Without ``rbac`` and accounts only those of the test are made."""
    rendered = chart.render(VALUES / "own-accounts.yaml")
    assert rights(rendered) == sorted(TEST)
    (account,) = rendered.of("ServiceAccount")
    assert account["metadata"]["name"] == "vci-webhook-test"
    pods = rendered.pods()
    assert pods["vci-webhook"]["serviceAccountName"] == "placement"
    assert pods["vci-webhook-certs"]["serviceAccountName"] == "placement-certificates"
