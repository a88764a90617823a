"""The part of a Pod that decides something, decoded straight from the review's bytes.

Only what is read is declared, so decoding skips the rest; the patch is built against the Pod as it
was received, so whatever is not declared here survives. Null and absent are the same. What is
``Raw`` stays text until a rule matched a Pod whose like was not seen before; absent, it is empty.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

Part = TypeVar("Part")

ABSENT = Raw(b"")
_DIRECTORY_TYPES = (None, "", "Directory", "DirectoryOrCreate")


def _read(text: bytes, decode: Callable[[bytes], Part | None], name: str) -> Part | None:
    """Decode what was kept as text; an error says where it stands."""
    try:
        return decode(text) if text else None
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{name}: {error}") from None


class OwnerReference(Struct, gc=False):
    """Who made the Pod."""

    kind: str = ""


class ObjectMeta(Struct, gc=False):
    """The Pod's metadata; ``name`` is empty at admission when ``generate_name`` is set."""

    name: str | None = None
    generate_name: str | None = field(default=None, name="generateName")
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = field(default=None, name="ownerReferences")


class Toleration(Struct, frozen=True, omit_defaults=True, gc=False):
    """Which taints the Pod bears; an empty operator means Equal, an empty effect all effects."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = field(default=None, name="tolerationSeconds")


_decode_tolerations = msgspec.json.Decoder(list[Toleration] | None).decode


def read_tolerations(text: bytes) -> list[Toleration] | None:
    """Read the list of tolerations; None when there is none.

    Raises:
        msgspec.ValidationError: it is not what it should be.
    """
    return _read(text, _decode_tolerations, "tolerations")


class NodeSelector(Struct, gc=False):
    """Required terms, ORed; kept as they came so that a copy of one loses nothing."""

    node_selector_terms: list[dict[str, Any] | None] | None = field(
        default=None, name="nodeSelectorTerms"
    )


class NodeAffinity(Struct, gc=False):
    """Which nodes the Pod must have and would like to have."""

    required: NodeSelector | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: list[dict[str, Any] | None] | None = field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


_decode_node_affinity = msgspec.json.Decoder(NodeAffinity | None).decode


def read_node_affinity(text: bytes | None) -> NodeAffinity | None:
    """Read the node affinity; None when there is none.

    Raises:
        msgspec.ValidationError: it is not what it should be.
    """
    return _read(text or b"", _decode_node_affinity, "affinity.nodeAffinity")


class Affinity(Struct, gc=False):
    """Of all affinities, the one to nodes."""

    node_affinity: Raw = field(default=ABSENT, name="nodeAffinity")


class SecurityContext(Struct, gc=False):
    """A container's privileges."""

    privileged: bool | None = None


class ContainerPort(Struct, gc=False):
    """A port; the API server copies it to ``host_port`` under hostNetwork."""

    host_port: int | None = field(default=None, name="hostPort")


class _VolumeMount(Struct, gc=False):
    mount_propagation: str | None = field(default=None, name="mountPropagation")


_decode_mounts = msgspec.json.Decoder(list[_VolumeMount] | None).decode


class Resources(Struct, gc=False):
    """Quantities by resource name, as written."""

    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class Container(Struct, gc=False):
    """A container, an init container or a sidecar."""

    security_context: SecurityContext | None = field(default=None, name="securityContext")
    ports: list[ContainerPort] | None = None
    volume_mounts: Raw = field(default=ABSENT, name="volumeMounts")
    resources: Resources | None = None

    def is_privileged(self) -> bool:
        """Tell whether it runs privileged."""
        return self.security_context is not None and bool(self.security_context.privileged)

    def is_bidirectional(self) -> bool:
        """Tell whether a mount propagates back; the API server demands ``privileged`` for that."""
        mounts = _read(bytes(self.volume_mounts), _decode_mounts, "volumeMounts")
        return any(mount.mount_propagation == "Bidirectional" for mount in mounts or ())


class HostPath(Struct, gc=False):
    """A path of the node."""

    path: str | None = None
    type: str | None = None

    def is_directory(self) -> bool:
        """Tell whether an empty directory can stand in: not for a file, a device or a socket."""
        return self.type in _DIRECTORY_TYPES and not (self.path or "").endswith(".sock")


class Volume(Struct, gc=False):
    """A volume; of the many sources, the two that VCI does not have."""

    host_path: HostPath | None = field(default=None, name="hostPath")
    image: dict[str, Any] | None = None


class OperatingSystem(Struct, gc=False):
    """``linux`` or ``windows``."""

    name: str | None = None


class PodSpec(Struct, gc=False):
    """The Pod's specification."""

    node_name: str | None = field(default=None, name="nodeName")
    node_selector: dict[str, str] | None = field(default=None, name="nodeSelector")
    tolerations: Raw = ABSENT
    affinity: Affinity | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = field(default=None, name="initContainers")
    volumes: list[Volume] | None = None
    host_network: bool | None = field(default=None, name="hostNetwork")
    host_pid: bool | None = field(default=None, name="hostPID")
    host_ipc: bool | None = field(default=None, name="hostIPC")
    os: OperatingSystem | None = None
    dns_policy: str | None = field(default=None, name="dnsPolicy")


class Pod(Struct, gc=False):
    """A Pod as it arrives at admission."""

    metadata: ObjectMeta
    spec: PodSpec
