"""Whatever a valid rule does to a legal Pod, the real API server accepts the Pod."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.acceptance import Trial, Verdict, recorded_pods, trial
from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.embedded import rules
from tests.cluster.features import LABELS, LONG_KEY, VOLUMES
from tests.cluster.legal import ANNOTATIONS_LIMIT, legal_pods
from tests.cluster.limits import IGNORE, TOLERATIONS, any_profiles, ranked, required
from tests.cluster.workloads import bare_pod
from tests.model.strategies import namespace_labels

PAIRS = int(os.environ.get("VCI_WEBHOOK_EXAMPLES", "200"))
SECONDS = float(os.environ.get("VCI_WEBHOOK_SECONDS", "25"))
FIXED_SEED = 1
FRESH_SEED = int(os.environ.get("VCI_WEBHOOK_SEED", "0")) or secrets.randbelow(2**32)
PLACEMENTS = ("enforce", "prefer", "overflow", "allow", "off")
ENFORCE = {"name": "enforce", "matchAll": True, "placement": "enforce"}
PLACE = {**ENFORCE, "onIncompatible": "place"}
PRIVILEGED = {"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}}


@pytest.fixture(scope="module")
def session_trial(session_cluster: Cluster) -> Iterator[Trial]:
    """Put a webhook in force for the module."""
    with trial(session_cluster) as found:
        yield found


@pytest.fixture
def api_server(cluster: Cluster, session_trial: Trial) -> Trial:
    """Lend the trial to a test, with nothing counted yet."""
    assert cluster is session_trial.cluster
    session_trial.illegal.clear()
    session_trial.decisions.clear()
    return session_trial


def repeat(seed: int, holds: Callable[..., None], *parts: st.SearchStrategy[Any]) -> None:
    """Let a property hold for pairs drawn from a seed, until they are enough or time is over."""
    print(f"to repeat this: VCI_WEBHOOK_SEED={seed} VCI_WEBHOOK_EXAMPLES={PAIRS}")
    end = time.monotonic() + SECONDS
    failed = False

    def in_time(drawn: tuple[Any, ...]) -> None:
        nonlocal failed
        if time.monotonic() > end and not failed:
            return  # what failed is still made smaller
        try:
            holds(*drawn)
        except Exception:
            failed = True
            raise

    slow = (HealthCheck.too_slow, HealthCheck.data_too_large)
    limited = settings(max_examples=PAIRS, database=None, suppress_health_check=slow)
    hypothesis.seed(seed)(limited(given(st.tuples(*parts))(in_time)))()


@pytest.mark.parametrize("seed", [FIXED_SEED, FRESH_SEED], ids=["fixed", "fresh"])
def test_the_patched_pod_is_accepted(api_server: Trial, seed: int) -> None:
    """A legal Pod is accepted after any valid rules, and created again it gets no patch."""

    def is_accepted(pod: Object, data: dict[str, str], labels: Mapping[str, str]) -> None:
        if api_server.is_legal(pod):
            api_server.use(data, labels)
            api_server.judge(pod)

    repeat(seed, is_accepted, legal_pods(), any_profiles(), namespace_labels)
    decided = api_server.decisions
    print(f"decisions: {decided}")
    assert len(api_server.illegal) <= decided.total() // 20, api_server.illegal
    assert decided.keys() >= {"enforce", "skipped"}


def accepted(api_server: Trial, pod: Object, *items: Object, **keys: str) -> Verdict:
    """Expect a legal Pod to be accepted under valid rules."""
    assert api_server.is_legal(pod), api_server.illegal
    assert api_server.use(rules(*items, **keys)) == []
    return api_server.judge(pod)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_recorded_pods_are_accepted(api_server: Trial, placement: str) -> None:
    """Argo's Pods, and those of other controllers, are accepted with every placement."""
    effect = {
        "annotations": {"example.com/note": "a"},
        "labels": LABELS,
        "tolerations": TOLERATIONS,
        "nodeAffinity": required(ranked({}, 3)),
    }
    gives: Object = {"name": "gives", "matchAll": True, "effect": effect, "onConflict": "override"}
    places = {"name": "places", "matchAll": True, "placement": placement}
    for name, pod in recorded_pods().items():
        verdict = accepted(api_server, pod, gives, places, clusterType="selfBuilt", **IGNORE)
        is_exempt = name == "daemonset"
        own = pod["metadata"].get("annotations", {}).get("vke.volcengine.com/burst-to-vci")
        assert verdict.decision == ("" if is_exempt else own or placement), name


def container(name: str, **fields: Any) -> Object:
    return {"name": name, "image": "busybox", **fields}


@pytest.mark.parametrize(("rule", "decision"), [(ENFORCE, "skipped"), (PLACE, "enforce")])
def test_bidirectional_stays_privileged(api_server: Trial, rule: Object, decision: str) -> None:
    """A mount that propagates back keeps its container privileged, also where that is ignored."""
    mount = {"name": "dir", "mountPath": "/m", "mountPropagation": "Bidirectional"}
    pod = bare_pod(
        containers=[
            container("mounting", volumeMounts=[mount], **PRIVILEGED),
            container("other", **PRIVILEGED),
        ],
        volumes=[{"name": "dir", "hostPath": {"path": "/data"}}],
    )
    verdict = accepted(api_server, pod, rule, **IGNORE)
    assert verdict.decision == decision
    mounting, other = (c["securityContext"] for c in verdict.pod["spec"]["containers"])
    assert mounting["privileged"]
    assert other.get("privileged", False) == (decision == "skipped")


def test_what_is_ignored_is_lifted(api_server: Trial) -> None:
    """Without privileges, paths of the node and its DNS a Pod is still a legal one."""
    names = [volume["name"] for volume in VOLUMES if "hostPath" in volume]
    mounts = [
        {"name": name, "mountPath": f"/{name}", "subPath": "a", "readOnly": True} for name in names
    ]
    mounts.append({"name": "any", "mountPath": "/in", "mountPropagation": "HostToContainer"})
    pod = bare_pod(
        initContainers=[
            container("init", volumeMounts=mounts, **PRIVILEGED),
            container("sidecar", restartPolicy="Always", **PRIVILEGED),
        ],
        containers=[container("main", volumeMounts=mounts, **PRIVILEGED)],
        volumes=[*VOLUMES],
        dnsPolicy="ClusterFirstWithHostNet",
    )
    verdict = accepted(api_server, pod, ENFORCE, **IGNORE)
    assert verdict.decision == "enforce"
    spec = verdict.pod["spec"]
    assert spec["dnsPolicy"] == "ClusterFirst"
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    for each in (*spec["containers"], *spec["initContainers"]):
        assert each["securityContext"] == {"allowPrivilegeEscalation": True}


@pytest.mark.parametrize(("more", "decision"), [(0, "enforce"), (1, "skipped")])
def test_annotations_up_to_the_limit(api_server: Trial, more: int, decision: str) -> None:
    """Up to the last byte that the API server allows a Pod is placed; with one more it is not."""
    rule = {**ENFORCE, "effect": {"annotations": {"\u212aey": "\u6c49" * 1000}}}
    pod = bare_pod("sized")
    verdict = accepted(api_server, pod, rule)
    added = sum(
        len(text.encode())
        for item in verdict.pod["metadata"]["annotations"].items()
        for text in item
    )
    pod["metadata"]["annotations"] = {"own": "x" * (ANNOTATIONS_LIMIT - added - 3 + more)}
    assert accepted(api_server, pod, rule).decision == decision


@pytest.mark.parametrize(
    ("own", "ours", "decision"),
    [(16, 16, "allow"), (1, 256, "allow"), (256, 1, "allow"), (17, 16, "skipped")],
)
def test_terms_up_to_the_limit(api_server: Trial, own: int, ours: int, decision: str) -> None:
    """The product of the Pod's required terms and a rule's has at most 256."""
    other = {"key": "other", "operator": "Exists"}
    wanted = [
        {"matchExpressions": [other, {"key": "zone", "operator": "In", "values": [f"z{number}"]}]}
        for number in range(ours)
    ]
    pod = bare_pod(affinity={"nodeAffinity": required(ranked({}, own))})
    rule = {
        "name": "narrow",
        "matchAll": True,
        "placement": "allow",
        "effect": {"nodeAffinity": required(wanted)},
    }
    verdict = accepted(api_server, pod, rule)
    assert verdict.decision == decision
    terms = verdict.pod["spec"]["affinity"]["nodeAffinity"]
    (found,) = terms.values()
    assert len(found["nodeSelectorTerms"]) == (own if decision == "skipped" else own * ours)


@pytest.mark.parametrize("own", [1, 2, 16, 128])
def test_large_terms_fit_into_etcd(api_server: Trial, own: int) -> None:
    """A Pod is really created, or left alone, however large a rule's terms make it.

    A dry run does not show this: etcd refuses an object of more than 1.5 MiB.
    """
    names = {"key": "zone", "operator": "In", "values": [f"{number:063}" for number in range(1000)]}
    pod = bare_pod(affinity={"nodeAffinity": required(ranked({}, own))})
    effect = {"nodeAffinity": required([{"matchExpressions": [names]}])}
    assert api_server.use(rules({**ENFORCE, "placement": "allow", "effect": effect})) == []
    verdict = api_server.create(pod, query="")
    assert verdict.decision == ("allow" if own <= 2 else "skipped")
    api_server.cluster.admin.delete(
        "Pod", verdict.pod["metadata"]["name"], verdict.pod["metadata"]["namespace"]
    )


def test_tolerations_of_all_kinds(api_server: Trial) -> None:
    """Each kind of toleration is accepted beside each kind that a Pod brings."""
    rule = {**ENFORCE, "effect": {"tolerations": TOLERATIONS}}
    assert accepted(api_server, bare_pod(), rule).decision == "enforce"
    pod = bare_pod(tolerations=TOLERATIONS)
    assert accepted(api_server, pod, rule, virtualNodeTaint="a:NoExecute").decision == "enforce"


def test_the_longest_keys_and_values(api_server: Trial) -> None:
    """Keys of 253 and 63 characters, values of 63, and the label of self-built clusters."""
    effect = {"labels": LABELS, "nodeSelector": {LONG_KEY: "a" * 63}, "annotations": {LONG_KEY: ""}}
    keys = {
        "clusterType": "selfBuilt",
        "virtualNodeLabel": f"example.com/{'n' * 63}={'v' * 63}",
        "virtualNodeTaint": f"{LONG_KEY}={'v' * 63}:PreferNoSchedule",
    }
    names = [f"{number:03}{'r' * 60}" for number in range(500)]
    many = [{**ENFORCE, "name": name, "effect": effect} for name in names]
    verdict = accepted(api_server, bare_pod(), *many, **keys)
    assert verdict.rules == ",".join(names)
    assert verdict.pod["metadata"]["labels"]["vke.volcengine.com/burst-to-vci"] == "enforce"
    assert verdict.pod["spec"]["nodeSelector"].keys() == {LONG_KEY, f"example.com/{'n' * 63}"}


def test_a_rule_for_windows_nodes(api_server: Trial) -> None:
    """A Pod that a rule would send to Windows nodes is left alone, the first time already."""
    effect = {"nodeSelector": {"kubernetes.io/os": "windows"}}
    assert accepted(api_server, bare_pod(), {**ENFORCE, "effect": effect}).decision == "skipped"
