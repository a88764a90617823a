"""What keeps a Pod off virtual nodes, and what of it a profile may take away."""

import re
from collections.abc import Mapping
from typing import Any

from tests.model import vocabulary as v
from tests.model.reading import Profile, Rule


def incompatibilities(
    pod: Any,
    profile: Profile,
    matched: list[Rule],
    placement: str,
    node_selector: Mapping[str, str],
) -> set[str]:
    """Name all that VCI cannot run, less what the profile lifts for this placement.

    ``node_selector`` is the Pod's as it would be: a rule may be what makes it a Windows Pod.
    """
    spec = pod["spec"]
    containers = all_containers(spec)
    volumes = spec.get("volumes") or []
    found = {
        "hostPath": any(
            has_host_path(volume) and not lifts_host_path(profile, placement, volume)
            for volume in volumes
        ),
        "privileged": any(
            is_privileged(container) and not lifts_privileged(profile, placement, container)
            for container in containers
        ),
        "mountPropagation": any(is_privileged(c) and is_bidirectional(c) for c in containers),
        "hostNetwork": spec.get("hostNetwork") is True,
        "hostPort": any(port.get("hostPort") for c in containers for port in c.get("ports") or []),
        "hostPID": spec.get("hostPID") is True,
        "hostIPC": spec.get("hostIPC") is True,
        "imageVolume": any(volume.get("image") is not None for volume in volumes),
        "windows": (spec.get("os") or {}).get("name") == "windows"
        or node_selector.get("kubernetes.io/os") == "windows",
        "gpu": requests_gpu(containers) and not names_instances(pod, matched),
    }
    return {reason for reason, applies in found.items() if applies}


def all_containers(spec: Any) -> list[Any]:
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def has_host_path(volume: Any) -> bool:
    return volume.get("hostPath") is not None


def lifts_host_path(profile: Profile, placement: str, volume: Any) -> bool:
    """A file, a device or a socket cannot become an empty directory."""
    source = volume["hostPath"]
    return (
        placement == "enforce"
        and profile.lifts_host_path
        and (source.get("type") or "") in ("", "Directory", "DirectoryOrCreate")
        and not source["path"].endswith(".sock")
    )


def is_privileged(container: Any) -> bool:
    return (container.get("securityContext") or {}).get("privileged") is True


def is_bidirectional(container: Any) -> bool:
    mounts = container.get("volumeMounts") or []
    return any(mount.get("mountPropagation") == "Bidirectional" for mount in mounts)


def lifts_privileged(profile: Profile, placement: str, container: Any) -> bool:
    return placement == "enforce" and profile.lifts_privileged and not is_bidirectional(container)


def requests_gpu(containers: list[Any]) -> bool:
    for container in containers:
        resources = container.get("resources") or {}
        for amounts in (resources.get("requests"), resources.get("limits")):
            for name, amount in (amounts or {}).items():
                if re.fullmatch(r".*/(gpu.*|.*-gpu)", name) and not is_zero(amount):
                    return True
    return False


def is_zero(amount: Any) -> bool:
    """Tell whether a quantity is none at all, with whatever suffix: 0, "0.0", "0Ki"."""
    return not re.search("[1-9]", re.split("[A-Za-z]", str(amount))[0])


def names_instances(pod: Any, matched: list[Rule]) -> bool:
    own = pod["metadata"].get("annotations") or {}
    return any(
        own.get(annotation) or any(annotation in rule.annotations for rule in matched)
        for annotation in (v.FAMILY, v.TYPES)
    )
