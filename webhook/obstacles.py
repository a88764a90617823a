"""What of a Pod may be in VCI's way: whether it is, the profile and the rules decide.

Most Pods have nothing of it, and that has to be found out cheaply.
"""

from collections.abc import Sequence

from msgspec import Struct

from webhook.pod import Container, PodSpec, Resources, Volume

_NO_GPU = frozenset({"cpu", "memory", "ephemeral-storage"})
_OBSTACLE_BYTES = 100


class ContainerObstacle(Struct, frozen=True, gc=False):
    """A container, by its place among its like, that has at least one of these."""

    index: int
    privileged: bool
    bidirectional: bool
    host_port: bool
    gpu: bool


class VolumeObstacle(Struct, frozen=True, gc=False):
    """A volume of a source that VCI does not have; ``directory``: an empty one can stand in."""

    index: int
    host_path: bool
    directory: bool
    image: bool


class Obstacles(Struct, frozen=True, gc=False):
    """All of them in one Pod; ``host`` are the reasons that need no further look."""

    host: tuple[str, ...]
    containers: tuple[ContainerObstacle, ...]
    init_containers: tuple[ContainerObstacle, ...]
    volumes: tuple[VolumeObstacle, ...]
    cluster_first_with_host_net: bool

    @property
    def size(self) -> int:
        """About how many bytes all of them take."""
        count = len(self.containers) + len(self.init_containers) + len(self.volumes)
        return count * _OBSTACLE_BYTES


NONE = Obstacles((), (), (), (), cluster_first_with_host_net=False)


def find_obstacles(spec: PodSpec) -> Obstacles:
    """Find everything in a Pod that may be in VCI's way."""
    if not _deserves_a_look(spec):
        return NONE
    return Obstacles(
        _host(spec),
        _containers(spec.containers or ()),
        _containers(spec.init_containers or ()),
        _volumes(spec.volumes or ()),
        spec.dns_policy == "ClusterFirstWithHostNet",
    )


def _deserves_a_look(spec: PodSpec) -> bool:
    """Tell whether there may be something; it is quick, so it errs on the side of a look."""
    if spec.host_network or spec.host_pid or spec.host_ipc or spec.os:
        return True
    if spec.dns_policy != "ClusterFirst" and spec.dns_policy is not None:
        return True
    for volume in spec.volumes or ():
        if volume.host_path is not None or volume.image is not None:
            return True
    return (spec.containers is not None and _deserve_a_look(spec.containers)) or (
        spec.init_containers is not None and _deserve_a_look(spec.init_containers)
    )


def _deserve_a_look(containers: Sequence[Container]) -> bool:
    for container in containers:
        context, resources = container.security_context, container.resources
        if container.ports or (context is not None and context.privileged):
            return True
        if resources is not None:
            limits, requests = resources.limits, resources.requests
            if limits and not _NO_GPU.issuperset(limits):
                return True
            if requests and not _NO_GPU.issuperset(requests):
                return True
    return False


def _host(spec: PodSpec) -> tuple[str, ...]:
    found = {
        "hostNetwork": spec.host_network,
        "hostPID": spec.host_pid,
        "hostIPC": spec.host_ipc,
        "windows": spec.os is not None and spec.os.name == "windows",
    }
    return tuple(reason for reason, is_there in found.items() if is_there)


def _containers(containers: Sequence[Container]) -> tuple[ContainerObstacle, ...]:
    each = (_container(index, container) for index, container in enumerate(containers))
    return tuple(c for c in each if c.privileged or c.host_port or c.gpu)


def _container(index: int, container: Container) -> ContainerObstacle:
    privileged = container.is_privileged()
    return ContainerObstacle(
        index,
        privileged,
        bidirectional=privileged and container.is_bidirectional(),
        host_port=any(port.host_port for port in container.ports or ()),
        gpu=container.resources is not None and _requests_gpu(container.resources),
    )


def _volumes(volumes: Sequence[Volume]) -> tuple[VolumeObstacle, ...]:
    return tuple(
        VolumeObstacle(
            index,
            host_path=volume.host_path is not None,
            directory=volume.host_path is not None and volume.host_path.is_directory(),
            image=volume.image is not None,
        )
        for index, volume in enumerate(volumes)
        if volume.host_path is not None or volume.image is not None
    )


def _requests_gpu(resources: Resources) -> bool:
    return any(
        _is_gpu(name) and not _is_zero(quantity)
        for quantities in (resources.limits, resources.requests)
        for name, quantity in (quantities or {}).items()
    )


def _is_gpu(resource: str) -> bool:
    _, slash, name = resource.partition("/")
    return bool(slash) and (name.startswith("gpu") or name.endswith("-gpu"))


def _is_zero(quantity: str | float) -> bool:
    """Tell whether a quantity such as ``"0"``, ``"0m"`` or ``0`` asks for nothing."""
    return not any(digit in str(quantity).partition("e")[0] for digit in "123456789")
