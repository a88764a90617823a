"""What VCI cannot run: why a Pod is left alone, and which of it a profile's ``ignore`` can lift."""

from collections.abc import Iterator, Mapping
from itertools import chain

from webhook import vci
from webhook.defaults import Defaults
from webhook.pod import Container, HostPath, Pod, PodSpec

_DIRECTORY_TYPES = (None, "", "Directory", "DirectoryOrCreate")


def incompatibilities(
    pod: Pod,
    defaults: Defaults,
    *,
    enforced: bool,
    names_instance: bool,
    operating_system: str | None,
) -> set[str]:
    """Return the reasons why VCI cannot run the Pod, without those that ``ignore`` lifts.

    Nothing is lifted from a Pod that may run on a real node (``enforced`` is false).
    ``names_instance``: a rule names an instance family or type, which a GPU Pod needs.
    ``operating_system``: what a rule's nodeSelector asks for, where the Pod's own does not.
    """
    reasons = _host_reasons(pod.spec, operating_system)
    lifted = enforced and defaults.ignore_privileged
    for container in _containers(pod.spec):
        _add_container_reasons(container, reasons, lifted=lifted)
    for volume in pod.spec.volumes or ():
        if volume.image is not None:
            reasons.add("imageVolume")
        if volume.host_path is not None and not (
            enforced and defaults.ignore_host_path and is_directory(volume.host_path)
        ):
            reasons.add("hostPath")
    if not (names_instance or _names_instance(pod)) and _requests_gpu(pod.spec):
        reasons.add("gpu")
    return reasons


def _host_reasons(spec: PodSpec, operating_system: str | None) -> set[str]:
    reasons = set()
    if spec.host_network:
        reasons.add("hostNetwork")
    if spec.host_pid:
        reasons.add("hostPID")
    if spec.host_ipc:
        reasons.add("hostIPC")
    selected = spec.node_selector.get(vci.OS_LABEL) if spec.node_selector else None
    if (spec.os is not None and spec.os.name == "windows") or (
        (selected or operating_system) == "windows"
    ):
        reasons.add("windows")
    return reasons


def _add_container_reasons(container: Container, reasons: set[str], *, lifted: bool) -> None:
    if container.ports and any(port.host_port for port in container.ports):
        reasons.add("hostPort")
    if is_privileged(container):
        if is_bidirectional(container):
            reasons.update(("privileged", "mountPropagation"))
        elif not lifted:
            reasons.add("privileged")


def _containers(spec: PodSpec) -> Iterator[Container]:
    return chain(spec.containers or (), spec.init_containers or ())


def is_privileged(container: Container) -> bool:
    """Tell whether a container runs privileged."""
    return container.security_context is not None and bool(container.security_context.privileged)


def is_bidirectional(container: Container) -> bool:
    """Tell whether a mount propagates back; the API server demands ``privileged`` for that."""
    return container.volume_mounts is not None and any(
        mount.mount_propagation == "Bidirectional" for mount in container.volume_mounts
    )


def is_directory(host_path: HostPath) -> bool:
    """Tell whether an empty directory can stand in: not for a file, a device or a socket."""
    return host_path.type in _DIRECTORY_TYPES and not (host_path.path or "").endswith(".sock")


def _names_instance(pod: Pod) -> bool:
    annotations = pod.metadata.annotations or {}
    return any(annotations.get(key, "").strip() for key in (vci.FAMILIES, vci.TYPES))


def _requests_gpu(spec: PodSpec) -> bool:
    for container in _containers(spec):
        resources = container.resources
        if resources is not None and (_has_gpu(resources.limits) or _has_gpu(resources.requests)):
            return True
    return False


def _has_gpu(quantities: Mapping[str, str | int | float] | None) -> bool:
    for name in quantities or ():  # most Pods name cpu and memory, and that has to be cheap
        if "gpu" in name and _is_gpu(name) and not _is_zero((quantities or {})[name]):
            return True
    return False


def _is_gpu(resource: str) -> bool:
    _, slash, name = resource.partition("/")
    return bool(slash) and (name.startswith("gpu") or name.endswith("-gpu"))


def _is_zero(quantity: str | float) -> bool:
    """Tell whether a quantity such as ``"0"``, ``"0m"`` or ``0`` asks for nothing."""
    return not any(digit in str(quantity).partition("e")[0] for digit in "123456789")
