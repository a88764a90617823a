"""What VCI cannot run: why a Pod is left alone, and which of it a profile's ``ignore`` can lift."""

from collections.abc import Sequence
from itertools import chain

from webhook import vci
from webhook.defaults import Defaults
from webhook.pod import Container, ContainerPort, HostPath, Pod, PodSpec, Resources

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
    gpu = False
    for container in chain(pod.spec.containers or (), pod.spec.init_containers or ()):
        if container.ports is not None and _has_host_port(container.ports):
            reasons.add("hostPort")
        if is_privileged(container):
            lifted = enforced and defaults.ignore_privileged
            reasons |= _privileged_reasons(container, lifted=lifted)
        if container.resources is not None:
            gpu = gpu or _requests_gpu(container.resources)
    for volume in pod.spec.volumes or ():
        if volume.image is not None:
            reasons.add("imageVolume")
        if volume.host_path is not None and not (
            enforced and defaults.ignore_host_path and is_directory(volume.host_path)
        ):
            reasons.add("hostPath")
    if gpu and not (names_instance or _names_instance(pod)):
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
    selected = (spec.node_selector or {}).get(vci.OS_LABEL, operating_system)
    if selected == "windows" or (spec.os is not None and spec.os.name == "windows"):
        reasons.add("windows")
    return reasons


def _privileged_reasons(container: Container, *, lifted: bool) -> set[str]:
    if is_bidirectional(container):
        return {"privileged", "mountPropagation"}
    return set() if lifted else {"privileged"}


def _has_host_port(ports: Sequence[ContainerPort]) -> bool:
    return any(port.host_port for port in ports)


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


def _requests_gpu(resources: Resources) -> bool:
    for quantities in (resources.limits, resources.requests):
        if not quantities:
            continue
        for name in quantities:  # most name cpu and memory, and that has to be cheap
            if "gpu" in name and _is_gpu(name) and not _is_zero(quantities[name]):
                return True
    return False


def _is_gpu(resource: str) -> bool:
    _, slash, name = resource.partition("/")
    return bool(slash) and (name.startswith("gpu") or name.endswith("-gpu"))


def _is_zero(quantity: str | float) -> bool:
    """Tell whether a quantity such as ``"0"``, ``"0m"`` or ``0`` asks for nothing."""
    return not any(digit in str(quantity).partition("e")[0] for digit in "123456789")
