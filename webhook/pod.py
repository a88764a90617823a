"""The part of a Pod that decides something, decoded straight from the review's bytes.

Only what is read is declared, so decoding skips the rest; the patch is built against the Pod as it
was received, so whatever is not declared here survives. Null and absent are the same.
"""

from typing import Any

from msgspec import Struct, field


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


class Affinity(Struct, gc=False):
    """Of all affinities, the one to nodes."""

    node_affinity: NodeAffinity | None = field(default=None, name="nodeAffinity")


class SecurityContext(Struct, gc=False):
    """A container's privileges."""

    privileged: bool | None = None


class ContainerPort(Struct, gc=False):
    """A port; the API server copies it to ``host_port`` under hostNetwork."""

    host_port: int | None = field(default=None, name="hostPort")


class VolumeMount(Struct, gc=False):
    """A mount; Bidirectional propagation needs a privileged container."""

    mount_propagation: str | None = field(default=None, name="mountPropagation")


class Resources(Struct, gc=False):
    """Quantities by resource name, as written."""

    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class Container(Struct, gc=False):
    """A container, an init container or a sidecar."""

    security_context: SecurityContext | None = field(default=None, name="securityContext")
    ports: list[ContainerPort] | None = None
    volume_mounts: list[VolumeMount] | None = field(default=None, name="volumeMounts")
    resources: Resources | None = None


class HostPath(Struct, gc=False):
    """A path of the node."""

    path: str | None = None
    type: str | None = None


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
    tolerations: list[Toleration] | None = None
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
