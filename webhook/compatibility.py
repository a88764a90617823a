"""What VCI cannot run: why a Pod is left alone, and which of it a profile's ``ignore`` can lift."""

from collections.abc import Iterable
from itertools import chain

from webhook import vci
from webhook.defaults import Defaults
from webhook.obstacles import ContainerObstacle, VolumeObstacle
from webhook.plan import Plan
from webhook.shape import Shape


def incompatibilities(shape: Shape, plan: Plan, defaults: Defaults) -> set[str]:
    """Return the reasons why VCI cannot run the Pod, without those that ``ignore`` lifts.

    Nothing is lifted from a Pod that may run on a real node.
    """
    obstacles = shape.obstacles
    reasons = set(obstacles.host)
    if dict(shape.node_selector or ()).get(vci.OS_LABEL, plan.operating_system) == "windows":
        reasons.add("windows")
    gpu = False
    for container in chain(obstacles.containers, obstacles.init_containers):
        reasons |= _reasons(container, lifted=plan.enforced and defaults.ignore_privileged)
        gpu = gpu or container.gpu
    for volume in obstacles.volumes:
        if volume.image:
            reasons.add("imageVolume")
        if volume.host_path and not (plan.enforced and is_replaced(volume, defaults)):
            reasons.add("hostPath")
    if gpu and not (plan.names_instance or _names_instance(shape.annotations or ())):
        reasons.add("gpu")
    return reasons


def _reasons(container: ContainerObstacle, *, lifted: bool) -> set[str]:
    reasons = {"hostPort"} if container.host_port else set()
    if container.bidirectional:
        reasons |= {"privileged", "mountPropagation"}
    elif container.privileged and not lifted:
        reasons.add("privileged")
    return reasons


def is_replaced(volume: VolumeObstacle, defaults: Defaults) -> bool:
    """Tell whether an empty directory stands in for a volume of a Pod that must run on VCI."""
    return defaults.ignore_host_path and volume.directory


def _names_instance(annotations: Iterable[tuple[str, str]]) -> bool:
    return any(key in (vci.FAMILIES, vci.TYPES) and value.strip() for key, value in annotations)
