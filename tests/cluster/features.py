"""What a Pod may have beside the fields that the webhook reads, and what stands at a limit."""

from typing import Any

Object = dict[str, Any]

LONG_PREFIX = ".".join(("p" * 63, "q" * 63, "r" * 63, "s" * 61))  # 253 characters
LONG_NAME = "n" * 63
LONG_KEY = f"{LONG_PREFIX}/{LONG_NAME}"
LABELS = {LONG_KEY: "v" * 63, "long": "w" * 63}

VOLUMES: tuple[Object, ...] = (
    {"name": "dir", "hostPath": {"path": "/data", "type": "Directory"}},
    {"name": "made", "hostPath": {"path": "/made", "type": "DirectoryOrCreate"}},
    {"name": "any", "hostPath": {"path": "/any"}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}},
    {"name": "empty", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    {"name": "map", "configMap": {"name": "map", "defaultMode": 0o400, "optional": True}},
    {"name": "share", "nfs": {"server": "nas.example.com", "path": "/"}},
    {
        "name": "about",
        "downwardAPI": {
            "items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.annotations"}}],
        },
    },
)


def _container(name: str, *mounts: Object, **more: Any) -> Object:
    mounts = tuple({"mountPath": f"/{number}", **mount} for number, mount in enumerate(mounts))
    return {"name": name, "image": "busybox", "volumeMounts": list(mounts), **more}


_UNCONFINED = {
    "privileged": True,
    "allowPrivilegeEscalation": True,
    "capabilities": {"add": ["SYS_ADMIN"]},
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
    "runAsUser": 0,
    "readOnlyRootFilesystem": True,
}
_POD_NAME = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
_PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}

CONTAINERS: tuple[tuple[str, Object], ...] = (
    ("containers", _container("unconfined", securityContext=_UNCONFINED)),
    ("initContainers", _container("unconfined", securityContext=_UNCONFINED)),
    (
        "initContainers",
        _container(
            "sidecar", restartPolicy="Always", startupProbe=_PROBE, securityContext=_UNCONFINED
        ),
    ),
    ("containers", _container("plain", securityContext={"privileged": False})),
    (
        "containers",
        _container(
            "mounting",
            {"name": "dir", "mountPropagation": "HostToContainer"},
            {"name": "made", "subPath": "a/b", "readOnly": True},
            {"name": "any", "subPathExpr": "$(POD)"},
            {"name": "any", "readOnly": True, "recursiveReadOnly": "IfPossible"},
            env=[_POD_NAME],
        ),
    ),
    (
        "containers",
        _container(
            "both-ways",
            {"name": "dir", "mountPropagation": "Bidirectional"},
            {"name": "made", "mountPropagation": "None"},
            securityContext=_UNCONFINED,
        ),
    ),
    (
        "containers",
        _container("reading", *({"name": n} for n in ("claim", "empty", "map", "share", "about"))),
    ),
    (
        "containers",
        _container(
            "gpu",
            resources={"limits": {"nvidia.com/gpu": "1", "cpu": "1"}, "requests": {"cpu": "1m"}},
        ),
    ),
)

_ANTI_AFFINITY = {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": {"matchLabels": {"app": "a"}},
}
SPECS: tuple[Object, ...] = (
    {"hostUsers": False},
    {"shareProcessNamespace": True},
    {"schedulingGates": [{"name": "example.com/quota"}]},
    {"priorityClassName": "system-node-critical"},
    {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}},
    {"dnsPolicy": "ClusterFirstWithHostNet", "dnsConfig": {"searches": ["example.com"]}},
    {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
    {"securityContext": {"fsGroup": 1, "supplementalGroups": [2], "runAsNonRoot": False}},
    {"automountServiceAccountToken": False, "enableServiceLinks": False},
    {"hostname": "h", "subdomain": "s", "setHostnameAsFQDN": True},
    {"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a"]}]},
    {"readinessGates": [{"conditionType": "example.com/ready"}]},
    {"restartPolicy": "Never", "activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 0},
    {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "nodeAffinityPolicy": "Honor",
                "nodeTaintsPolicy": "Honor",
                "labelSelector": {"matchLabels": {"app": "a"}},
            }
        ]
    },
    {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [_ANTI_AFFINITY],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": _ANTI_AFFINITY}
                ],
            }
        }
    },
)
