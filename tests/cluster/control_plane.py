"""A control plane on loopback: etcd, API server, scheduler, controller manager, Argo's controller.

No kubelet and no containers: nodes are plain objects, and ``kubelet.Kubelet`` completes their Pods.
"""

import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.cluster import binaries, pki
from tests.cluster.client import ApiError, Client, Object, read_manifests
from tests.cluster.isolation import is_inside
from tests.cluster.kubelet import Kubelet
from tests.cluster.nodes import create_nodes
from tests.cluster.process import free_port, running, wait_until_ready

EXAMPLES = Path(__file__).parents[2] / "examples"
API_SERVER_ADDRESS = "10.0.0.1"  # of the Service "kubernetes": the first of the Services' range
ARGO_NAMESPACE = "argo"
ARGO_USER = f"system:serviceaccount:{ARGO_NAMESPACE}:argo"
ARGO_GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{ARGO_NAMESPACE}")

PODS_CREATED: Object = {
    "level": "Metadata",
    "verbs": ["create"],
    "resources": [{"resources": ["pods"]}],
}


@dataclass(slots=True)
class ControlPlane:
    """A running control plane and what is needed to use it."""

    folder: Path
    programs: binaries.Binaries
    authority: pki.Authority
    port: int = field(default_factory=free_port)
    requeue_seconds: int = 1
    routes_to_endpoints: bool = True  # else a webhook's Service is reached by its own address
    api_server_flags: dict[str, object] = field(default_factory=dict)  # besides the usual ones
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: dict[str, tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"

    def client(self, pair: pki.Pair) -> Client:
        """Return a client that is the user of a certificate."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.load_cert_chain(pair.certificate, pair.key)
        return Client("127.0.0.1", self.port, context)

    def kubectl(self, *arguments: str, manifest: Object | None = None) -> str:
        """Run kubectl as an administrator and return what it prints."""
        done = subprocess.run(
            [self.programs["kubectl"], f"--kubeconfig={self.kubeconfig}", *arguments],
            input=json.dumps(manifest) if manifest else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def write_kubeconfig(self, name: str, user: str, *groups: str) -> pki.Pair:
        """Issue a user's certificate and write ``NAME.kubeconfig`` for it."""
        pair = self.authority.issue_client(name, user, groups)
        credentials = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        text = self.render_kubeconfig(name, credentials)
        (self.folder / f"{name}.kubeconfig").write_text(text, "utf-8")
        return pair

    def render_kubeconfig(self, user: str, credentials: Mapping[str, str]) -> str:
        """Give the kubeconfig of a user, as YAML."""
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.authority.certificate),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": user, "user": dict(credentials)}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
            "current-context": "here",
        }
        return yaml.safe_dump(config)

    def start(self, stack: ExitStack, name: str, *flags: str, **environment: str) -> None:
        """Start one of its programs, with the kubeconfig of its name where there is one."""
        kubeconfig = self.folder / f"{name}.kubeconfig"
        given = (f"--kubeconfig={kubeconfig}",) if kubeconfig.exists() else ()
        command = (str(self.programs[name]), *given, *flags)
        log = self.logs / f"{name}.log"
        self._started[name] = flags, environment
        self.processes[name] = stack.enter_context(running(command, log, environment))

    def flags(self, name: str) -> tuple[str, ...]:
        """Return how a program was started."""
        return self._started[name][0]

    def start_again(self, stack: ExitStack, name: str) -> None:
        """Start a program that was stopped, as it was started."""
        flags, environment = self._started[name]
        self.start(stack, name, *flags, **environment)


@dataclass(slots=True)
class Cluster:
    """What a test uses: the control plane, an administrator's client, the kubelet."""

    plane: ControlPlane
    admin: Client
    kubelet: Kubelet

    def ended_programs(self) -> list[str]:
        """Name the programs that should run and do not."""
        processes = self.plane.processes.items()
        return [
            f"{name}: exit status {p.returncode}" for name, p in processes if p.poll() is not None
        ]


@contextmanager
def control_plane(
    folder: Path,
    programs: binaries.Binaries,
    *,
    routes_to_endpoints: bool = True,
    api_server_flags: Mapping[str, object] | None = None,
    audited: Sequence[Object] = (),
    **argo_environment: str,
) -> Iterator[Cluster]:
    """Run a control plane with its two nodes and Argo until the block ends."""
    (folder / "logs").mkdir(parents=True)
    plane = ControlPlane(folder, programs, pki.Authority(folder))
    plane.routes_to_endpoints = routes_to_endpoints
    plane.api_server_flags.update(api_server_flags or {})
    with ExitStack() as stack:
        admin = plane.client(plane.write_kubeconfig("admin", "admin", "system:masters"))
        start_api_server(plane, admin, stack, *audited)
        _start_controllers(plane, stack)
        create_nodes(admin)
        _start_argo(plane, admin, stack, argo_environment)
        kubelet = stack.enter_context(Kubelet(admin).running())
        yield Cluster(plane, admin, kubelet)


def start_api_server(
    plane: ControlPlane, admin: Client, stack: ExitStack, *audited: Object
) -> None:
    """Start etcd and API server, and wait for the two; unless told, audit the creation of Pods."""
    clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    plane.start(stack, "etcd", *_etcd_flags(plane, clients, peers))
    serving = plane.authority.issue_serving("kube-apiserver", addresses=(API_SERVER_ADDRESS,))
    private, public = pki.write_signing_pair(plane.folder)
    flags: dict[str, object] = {
        "etcd-servers": clients,
        # where nobody outside can connect, Pods can, whose networks are their own
        "bind-address": "0.0.0.0" if is_inside() else "127.0.0.1",  # noqa: S104 - see above
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",
        "secure-port": plane.port,
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "client-ca-file": plane.authority.certificate,
        "authorization-mode": "RBAC",
        "allow-privileged": "true",
        # a webhook's Service is resolved to its ready endpoints here: there is no kube-proxy
        "enable-aggregator-routing": str(plane.routes_to_endpoints).lower(),
        "service-cluster-ip-range": "10.0.0.0/24",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": public,
        "service-account-signing-key-file": private,
        "audit-policy-file": _write_audit_policy(plane.folder, *audited or (PODS_CREATED,)),
        "audit-log-path": plane.audit_log,
        "profiling": "false",
        **plane.api_server_flags,
    }
    plane.start(stack, "kube-apiserver", *_flags(flags))
    log = plane.logs / "kube-apiserver.log"
    wait_until_ready(plane.processes["kube-apiserver"], log, lambda: is_ready(admin))


def _write_audit_policy(folder: Path, *audited: Object) -> Path:
    """Have some requests audited, and nothing else."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [*audited, {"level": "None"}],
    }
    path = folder / "audit-policy.yaml"
    path.write_text(yaml.safe_dump(policy), "utf-8")
    return path


def _etcd_flags(plane: ControlPlane, clients: str, peers: str) -> tuple[str, ...]:
    addresses = {
        "data-dir": plane.folder / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "log-level": "warn",
    }
    return (*_flags(addresses), "--unsafe-no-fsync")


def _start_controllers(plane: ControlPlane, stack: ExitStack) -> None:
    for name in ("kube-scheduler", "kube-controller-manager"):
        plane.write_kubeconfig(name, f"system:{name}")
    plane.start(stack, "kube-scheduler", "--secure-port=0", "--leader-elect=false")
    flags = {
        "secure-port": 0,
        "leader-elect": "false",
        # nobody renews the nodes' leases, and that controller would taint them "unreachable"
        "controllers": "*,-node-lifecycle-controller",
        "use-service-account-credentials": "true",
        "kube-api-qps": 500,  # with the default, asking for each controller's token takes 5 s
        "kube-api-burst": 1000,
        "service-account-private-key-file": plane.folder / "service-account.key",
        "root-ca-file": plane.authority.certificate,
    }
    plane.start(stack, "kube-controller-manager", *_flags(flags))


def _start_argo(
    plane: ControlPlane, admin: Client, stack: ExitStack, environment: Mapping[str, str]
) -> None:
    _install_argo(plane, admin)
    plane.write_kubeconfig("workflow-controller", ARGO_USER, *ARGO_GROUPS)
    plane.start(
        stack,
        "workflow-controller",
        f"--namespace={ARGO_NAMESPACE}",
        "--qps=100",
        "--burst=200",
        LEADER_ELECTION_DISABLE="true",
        DEFAULT_REQUEUE_TIME=f"{plane.requeue_seconds}s",
        **environment,
    )


def _install_argo(plane: ControlPlane, admin: Client) -> None:
    for manifest in read_manifests(*sorted(plane.programs["argo-crds"].glob("argoproj.io_*.yaml"))):
        admin.apply(manifest)
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_NAMESPACE}})
    for manifest in read_manifests(EXAMPLES / "workflow-controller-configmap.yaml"):
        manifest["data"]["metricsConfig"] = "{enabled: false}"  # a fixed port, and nobody reads it
        admin.apply(manifest)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    admin.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "argo"},
            "roleRef": role,
            "subjects": [
                {"kind": "ServiceAccount", "name": "argo", "namespace": ARGO_NAMESPACE},
            ],
        }
    )


def _flags(values: dict[str, object]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in values.items())


def is_ready(admin: Client) -> bool:
    """Tell whether the API server answers requests."""
    try:
        return admin.send("GET", "/readyz") == b"ok"
    except (OSError, ApiError):
        return False
