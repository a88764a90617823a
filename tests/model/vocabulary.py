"""The names that the model knows, spelled out a second time so that a slip in one place shows."""

import re

BURST = "vke.volcengine.com/burst-to-vci"
SUBNETS = "vke.volcengine.com/preferred-subnet-ids"
SECURITY_GROUPS = "vke.volcengine.com/security-group-ids"
FAMILY = "vci.vke.volcengine.com/preferred-instance-family"
TYPES = "vci.vke.volcengine.com/preferred-instance-types"
DISK = "vci.vke.volcengine.com/desired-system-storage"
KUBE_PROXY = "vci.vke.volcengine.com/kube-proxy-enabled"
IMAGE_CACHE = "vci.vke.volcengine.com/enable-auto-create-imc"
TAGS = "vci.vke.volcengine.com/resource-tags"
TLS = "vci.volcengine.com/tls-enable"

APPLIED = "vci-webhook/applied"
SKIPPED = "vci-webhook/skipped"
INJECT = "vci-webhook/inject"

ALIASES = {
    "virtualNodeOnly": "enforce",
    "normalNodePrefer": "overflow",
    "fair": "allow",
    "normalNodeOnly": "off",
}
PLACEMENTS = ("enforce", "prefer", "overflow", "allow", "off")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

MAX_TERMS = 256
MAX_ANNOTATION_BYTES = 256 * 1024

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_DNS_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def is_label_value(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= 63
        and (value == "" or re.fullmatch(_NAME, value) is not None)
    )


def is_key(key: object) -> bool:
    """Tell whether a label, an annotation or a taint may have this key."""
    if not isinstance(key, str):
        return False
    prefix, slash, name = key.rpartition("/")
    if slash and not is_dns_subdomain(prefix):
        return False
    return len(name) <= 63 and re.fullmatch(_NAME, name) is not None


def is_dns_subdomain(text: str) -> bool:
    return len(text) <= 253 and re.fullmatch(rf"{_DNS_PART}(\.{_DNS_PART})*", text) is not None
