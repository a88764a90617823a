"""What VCI cannot run, and what is never touched: each function changes a drawn Pod in one way."""

from typing import Any

from hypothesis import strategies as st

from tests.model import vocabulary as v
from tests.model.features import child

Json = Any


def _append(parent: Json, key: str, item: Json) -> None:
    parent[key] = [*(parent.get(key) or []), item]


def mount_host_path(draw: st.DrawFn, pod: Json) -> None:
    path = draw(st.sampled_from(("/data", "/run/x.sock", "/dev/fuse")))
    kinds = ("", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice")
    source = {"path": path}
    kind = draw(st.sampled_from((*kinds, "absent", "", "Directory")))
    if kind != "absent":
        source["type"] = kind
    _append(pod["spec"], "volumes", {"name": "host", "hostPath": source})


def _container(draw: st.DrawFn, pod: Json, name: str) -> Json:
    """Add a container, an init container or a sidecar."""
    kind = draw(st.sampled_from(("containers", "initContainers", "sidecar")))
    container: dict[str, Json] = {"name": name, "image": "busybox"}
    if kind == "sidecar":
        container["restartPolicy"] = "Always"
    _append(pod["spec"], "containers" if kind == "containers" else "initContainers", container)
    return container


def run_privileged(draw: st.DrawFn, pod: Json) -> None:
    container = _container(draw, pod, "privileged")
    container["securityContext"] = draw(
        st.sampled_from(({"privileged": True}, {"privileged": True, "runAsUser": 0}))
    )


def mount_bidirectionally(draw: st.DrawFn, pod: Json) -> None:
    container = _container(draw, pod, "mounting")
    container["securityContext"] = {"privileged": True}
    mount = {"name": "shared", "mountPath": "/m", "mountPropagation": "Bidirectional"}
    container["volumeMounts"] = [mount]
    _append(pod["spec"], "volumes", {"name": "shared", "emptyDir": {}})


def use_host_namespace(draw: st.DrawFn, pod: Json) -> None:
    pod["spec"][draw(st.sampled_from(("hostNetwork", "hostPID", "hostIPC")))] = True


def use_host_port(draw: st.DrawFn, pod: Json) -> None:
    ports = st.sampled_from(({"containerPort": 80, "hostPort": 80}, {"containerPort": 80}))
    _container(draw, pod, "port")["ports"] = [draw(ports)]


def request_gpu(draw: st.DrawFn, pod: Json) -> None:
    names = (
        "nvidia.com/gpu",
        "nvidia.com/gpu",
        "example.com/shared-gpu",
        "a.io/gpu-memory",
        "a.io/megpus",
        "cpu",
    )
    where = draw(st.sampled_from(("limits", "requests")))
    amount = draw(st.sampled_from(("1", "2", "0", "0m", "10")))
    _container(draw, pod, "gpu")["resources"] = {where: {draw(st.sampled_from(names)): amount}}


def mount_image(draw: st.DrawFn, pod: Json) -> None:
    source = draw(st.sampled_from(({"reference": "r"}, {})))
    _append(pod["spec"], "volumes", {"name": "image", "image": source})


def run_on_windows(draw: st.DrawFn, pod: Json) -> None:
    if draw(st.booleans()):
        pod["spec"]["os"] = {"name": "windows"}
    else:
        child(pod["spec"], "nodeSelector")["kubernetes.io/os"] = "windows"


def stay_untouched(draw: st.DrawFn, pod: Json) -> None:
    metadata = pod["metadata"]
    kind = draw(st.sampled_from(("mirror", "nodeName", "DaemonSet", "label")))
    if kind == "mirror":
        child(metadata, "annotations")["kubernetes.io/config.mirror"] = "hash"
    elif kind == "nodeName":
        pod["spec"]["nodeName"] = "node-1"
    elif kind == "DaemonSet":
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}
        _append(metadata, "ownerReferences", owner)
    else:
        child(metadata, "labels")[v.INJECT] = draw(st.sampled_from(("false", "true")))
