"""Tests of what VCI cannot run, and of what ``ignore`` lifts."""

from typing import Any

import pytest

from tests.unit.pods import make_pod, make_profile, place, trace_of

ENFORCE = {"placement": "enforce"}
IGNORE = {
    "securityContextPrivilegedConfig": "ignore",
    "volumesHostPathConfig": "ignore",
    "dnsPolicyClusterFirstWithHostNetConfig": "clusterFirst",
}
PRIVILEGED = {"name": "main", "image": "i", "securityContext": {"privileged": True}}
BIDIRECTIONAL = {
    **PRIVILEGED,
    "name": "mounter",
    "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}],
}


def _reasons(pod: dict[str, Any], *rules: dict[str, Any], **data: str) -> list[str]:
    told = trace_of(place(pod, make_profile(*(rules or (ENFORCE,)), **data)), "skipped")
    return list(told["reasons"]) if told else []


def _with_resources(limits: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "i", "resources": {"limits": limits}}
    return make_pod(metadata=metadata, containers=[container])


def _with_volume(**source: Any) -> dict[str, Any]:
    return make_pod(volumes=[{"name": "v", **source}])


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (make_pod(hostNetwork=True), "hostNetwork"),
        (make_pod(hostPID=True), "hostPID"),
        (make_pod(hostIPC=True), "hostIPC"),
        (make_pod(os={"name": "windows"}), "windows"),
        (make_pod(nodeSelector={"kubernetes.io/os": "windows"}), "windows"),
        (_with_volume(hostPath={"path": "/data"}), "hostPath"),
        (_with_volume(image={"reference": "r"}), "imageVolume"),
        (make_pod(containers=[PRIVILEGED]), "privileged"),
        (make_pod(initContainers=[PRIVILEGED]), "privileged"),
        (make_pod(containers=[{"name": "m", "ports": [{"hostPort": 80}]}]), "hostPort"),
        (_with_resources({"nvidia.com/gpu": "1"}), "gpu"),
    ],
)
def test_what_vci_cannot_run_is_named(pod: dict[str, Any], reason: str) -> None:
    """Each feature that VCI lacks has its reason."""
    assert _reasons(pod) == [reason]


def test_a_rule_can_make_it_a_windows_pod() -> None:
    """A rule's nodeSelector counts like the Pod's own, so a second review decides the same."""
    windows = {**ENFORCE, "effect": {"nodeSelector": {"kubernetes.io/os": "windows"}}}

    assert _reasons(make_pod(), windows) == ["windows"]
    assert _reasons(make_pod(nodeSelector={"kubernetes.io/os": "linux"}), windows) == [
        "nodeSelector"
    ]


@pytest.mark.parametrize(
    "pod",
    [
        make_pod(),
        make_pod(os={"name": "linux"}, nodeSelector={"kubernetes.io/os": "linux"}),
        make_pod(hostNetwork=False, volumes=[{"name": "v", "emptyDir": {}}]),
        make_pod(containers=[{"name": "m", "ports": [{"containerPort": 80, "hostPort": 0}]}]),
        make_pod(containers=[{"name": "m", "securityContext": {"privileged": False}}]),
    ],
)
def test_what_vci_can_run_is_placed(pod: dict[str, Any]) -> None:
    """False, zero and absent are no reason."""
    assert _reasons(pod) == []


@pytest.mark.parametrize(
    ("resource", "is_gpu"),
    [
        ("nvidia.com/gpu", True),
        ("vke.volcengine.com/mgpu-core", False),
        ("example.com/big-gpu", True),
        ("aliyun.com/gpu-mem", True),
        ("gpu", False),
        ("nvidia.com/mig-1g.5gb", False),
    ],
)
def test_a_gpu_is_told_by_its_resource_name(resource: str, *, is_gpu: bool) -> None:
    """The part after the slash is gpu, ends in -gpu or begins with gpu."""
    assert (_reasons(_with_resources({resource: "1"})) == ["gpu"]) is is_gpu


@pytest.mark.parametrize("quantity", ["0", 0, "0m", "0.0", "0e3"])
def test_no_gpu_is_no_request(quantity: str | int) -> None:
    """A quantity of zero, in any notation, asks for nothing."""
    assert _reasons(_with_resources({"nvidia.com/gpu": quantity})) == []


def test_a_gpu_pod_is_placed_when_somebody_names_the_instance() -> None:
    """The Pod or a rule must name family or type; a cluster-wide default is no choice for a GPU."""
    family = "vci.vke.volcengine.com/preferred-instance-family"
    gpu = {"nvidia.com/gpu": 1}

    assert _reasons(_with_resources(gpu, annotations={family: "vci.ini2"})) == []
    assert _reasons(_with_resources(gpu, annotations={family: " "})) == ["gpu"]
    rule = {**ENFORCE, "effect": {"instanceTypes": ["vci.ini2.26c-243gi"]}}
    assert _reasons(_with_resources(gpu), rule) == []
    assert _reasons(_with_resources(gpu), preferredInstanceFamily="vci.ini2") == ["gpu"]


def test_all_reasons_are_told_sorted() -> None:
    """A person sees everything that has to change, not only the first thing."""
    pod = make_pod(hostPID=True, hostIPC=True, containers=[PRIVILEGED])

    assert _reasons(pod) == ["hostIPC", "hostPID", "privileged"]


class TestIgnore:
    """What the managed feature's ``ignore`` and ``clusterFirst`` lift from an enforced Pod."""

    def test_privileged_is_taken_off_every_container(self) -> None:
        """Containers, init containers and sidecars lose it; other settings stay."""
        sidecar = {**PRIVILEGED, "name": "sidecar", "restartPolicy": "Always"}
        context = {"privileged": True, "runAsUser": 7}
        pod = make_pod(
            containers=[{**PRIVILEGED, "securityContext": context}], initContainers=[sidecar]
        )

        spec = place(pod, make_profile(ENFORCE, **IGNORE))["spec"]

        assert spec["containers"][0]["securityContext"] == {"runAsUser": 7}
        assert spec["initContainers"][0]["securityContext"] == {}

    def test_bidirectional_propagation_keeps_privileged(self) -> None:
        """The API server would refuse the mount without it, so the Pod is left alone."""
        pod = make_pod(containers=[PRIVILEGED, BIDIRECTIONAL])

        assert _reasons(pod, **IGNORE) == ["mountPropagation", "privileged"]

    def test_place_lifts_what_can_be_lifted(self) -> None:
        """The other container loses the privilege, the one that needs it keeps it."""
        pod = make_pod(containers=[PRIVILEGED, BIDIRECTIONAL])

        spec = place(pod, make_profile({**ENFORCE, "onIncompatible": "place"}, **IGNORE))["spec"]

        assert spec["containers"][0]["securityContext"] == {}
        assert spec["containers"][1] == BIDIRECTIONAL

    @pytest.mark.parametrize("kind", [None, "", "Directory", "DirectoryOrCreate"])
    def test_a_directory_becomes_an_empty_one(self, kind: str | None) -> None:
        """The volume keeps its name, so every mount still finds it."""
        host_path = {"path": "/data", **({} if kind is None else {"type": kind})}
        pod = _with_volume(hostPath=host_path)

        spec = place(pod, make_profile(ENFORCE, **IGNORE))["spec"]

        assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]

    @pytest.mark.parametrize(
        "host_path",
        [
            {"path": "/run/docker.sock"},
            {"path": "/f", "type": "File"},
            {"path": "/f", "type": "FileOrCreate"},
            {"path": "/s", "type": "Socket"},
            {"path": "/d", "type": "CharDevice"},
            {"path": "/d", "type": "BlockDevice"},
        ],
    )
    def test_a_file_a_device_or_a_socket_is_never_replaced(self, host_path: dict[str, str]) -> None:
        """An empty directory in its place would break the container without a word."""
        assert _reasons(_with_volume(hostPath=host_path), **IGNORE) == ["hostPath"]

    def test_nothing_is_taken_from_a_pod_that_may_run_on_a_real_node(self) -> None:
        """With a soft placement the Pod is incompatible instead."""
        pod = make_pod(containers=[PRIVILEGED], volumes=[{"name": "v", "hostPath": {"path": "/"}}])

        assert _reasons(pod, {"placement": "prefer"}, **IGNORE) == ["hostPath", "privileged"]

    def test_the_dns_policy_for_host_networks_becomes_the_plain_one(self) -> None:
        """Only ClusterFirstWithHostNet changes, and only with the key."""
        pod = make_pod(dnsPolicy="ClusterFirstWithHostNet")

        changed = place(pod, make_profile(ENFORCE, **IGNORE))
        kept = place(pod, make_profile(ENFORCE))
        default = place(make_pod(dnsPolicy="Default"), make_profile(ENFORCE, **IGNORE))

        assert changed["spec"]["dnsPolicy"] == "ClusterFirst"
        assert kept["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
        assert default["spec"]["dnsPolicy"] == "Default"
