"""The names that VCI, its virtual nodes and this webhook give to things on a Pod."""

import re

BURST = "vke.volcengine.com/burst-to-vci"  # annotation; on self-built clusters a label as well
SUBNETS = "vke.volcengine.com/preferred-subnet-ids"
SECURITY_GROUPS = "vke.volcengine.com/security-group-ids"
FAMILIES = "vci.vke.volcengine.com/preferred-instance-family"
TYPES = "vci.vke.volcengine.com/preferred-instance-types"
SYSTEM_DISK = "vci.vke.volcengine.com/desired-system-storage"
KUBE_PROXY = "vci.vke.volcengine.com/kube-proxy-enabled"
IMAGE_CACHE = "vci.vke.volcengine.com/enable-auto-create-imc"
RESOURCE_TAGS = "vci.vke.volcengine.com/resource-tags"
TLS_ENABLE = "vci.volcengine.com/tls-enable"  # log collection, not encryption

APPLIED = "vci-webhook/applied"
SKIPPED = "vci-webhook/skipped"
OPT_OUT = "vci-webhook/inject"  # label of a Pod or a namespace; "false" keeps the webhook away

OS_LABEL = "kubernetes.io/os"  # of a node; a Pod's nodeSelector may name its system so

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

# VCI writes these back on running Pods: an effect that sets them would lie about the instance.
WRITTEN_BACK = frozenset(
    {
        "vci.vke.volcengine.com/instance-id",
        "vci.volcengine.com/pod-resource-spec",
        "vci.volcengine.com/cpu-static-policy-options",
        "vci.volcengine.com/overlay-rw-layer-spec",
    }
)

# What ids usually look like. Only ever a warning: the vendor may name the next one differently.
USUAL = {
    SUBNETS: ("subnet id", re.compile(r"subnet-[a-z0-9]+")),
    SECURITY_GROUPS: ("security group id", re.compile(r"sg-[a-z0-9]+")),
    FAMILIES: ("instance family", re.compile(r"vci\.[a-z0-9]+")),
    TYPES: ("instance type", re.compile(r"vci\.[a-z0-9]+\.[a-z0-9.-]+")),
}

SYSTEM_DISK_GIB = range(40, 501)
ANNOTATIONS_LIMIT_BYTES = 256 * 1024  # of all keys and values of one object; apimachinery


def annotations_size(annotations: dict[str, str]) -> int:
    """Return the bytes that the API server counts against the limit."""
    return sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
