"""The node that runs Pods as processes does what a kubelet does, as far as our own Pods need it."""

import base64
import json
import textwrap
from typing import Any

from tests.cluster.client import Client, Object
from tests.cluster.control_plane import Cluster
from tests.cluster.node.agent import Agent
from tests.cluster.node.running import PLACED_HERE
from tests.cluster.process import eventually

SERVE = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler)"


def program_pod(name: str, program: str, container: Object, **spec: Any) -> Object:
    """Make a Pod of one Python program."""
    command = ["python", "-c", textwrap.dedent(program)]
    main = {"name": "main", "image": "registry.test/python:3", "command": command, **container}
    spec = {"containers": [main], "terminationGracePeriodSeconds": 2, **PLACED_HERE, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def happenings(node: Agent, pod: str) -> list[str]:
    """Tell in order what happened to a Pod."""
    return [h.what for h in list(node.history) if h.pod == pod]


def wait_for(node: Agent, pod: str, *what: str) -> None:
    """Wait until these things have happened to a Pod."""
    eventually(lambda: set(what) <= set(happenings(node, pod)), f"{pod}: {what}", 15)


def output(node: Agent, pod: str) -> list[str]:
    """Give what a Pod's program has printed."""
    return (node.settings.folder / "logs" / f"{pod}.main.log").read_text("utf-8").splitlines()


def remove(admin: Client, node: Agent, pod: str, namespace: str) -> None:
    """Delete a Pod, and wait for its end."""
    admin.delete("Pod", pod, namespace)
    wait_for(node, pod, "gone")


def test_what_a_container_sees(cluster: Cluster, node: Agent, namespace: str) -> None:
    """It runs as the Pod says, in a root of its own that it cannot change, and has no rights."""
    program = """
        import json, os
        def refused(path):
            try: open(path, "w")
            except OSError as error: return error.strerror
        effective = next(line for line in open("/proc/self/status") if line.startswith("CapEff"))
        print(json.dumps({
            "user": [os.getuid(), os.getgid()], "root": refused("/x"), "secret": refused("/s/key"),
            "tmp": refused("/tmp/x") is not None, "capabilities": int(effective.split()[1], 16),
            "empty": refused("/e/x"), "secret value": open("/s/key").read(),
        }), flush=True)
    """
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    cluster.admin.create({**secret, "stringData": {"key": "value"}}, namespace)
    mounts = [{"name": "s", "mountPath": "/s"}, {"name": "e", "mountPath": "/e"}]
    security = {"runAsUser": 10001, "readOnlyRootFilesystem": True}
    security["allowPrivilegeEscalation"] = False
    volumes = [{"name": "s", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {}}]
    container: Object = {"volumeMounts": mounts, "securityContext": security}
    pod = program_pod("sees", program, container, volumes=volumes, restartPolicy="Never")
    cluster.admin.create(pod, namespace)
    wait_for(node, "sees", "main ended: 0")
    assert json.loads(output(node, "sees")[0]) == {
        "user": [10001, 10001],
        "root": "Read-only file system",
        "secret": "Read-only file system",
        "tmp": True,
        "capabilities": 0,
        "empty": None,
        "secret value": "value",
    }
    seen = eventually(
        lambda: (
            (found := cluster.admin.get("Pod", "sees", namespace))["status"]["phase"] == "Succeeded"
            and found
        ),
        "the end",
    )
    assert seen["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    remove(cluster.admin, node, "sees", namespace)


def test_who_a_pod_is(cluster: Cluster, node: Agent, namespace: str) -> None:
    """With the projected token it is its ServiceAccount, bound to the Pod, to the API server."""
    program = """
        import json, os, ssl, urllib.request as r
        d = "/var/run/secrets/kubernetes.io/serviceaccount/"
        context = ssl.create_default_context(cafile=d + "ca.crt")
        url = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format(**os.environ)
        url += "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        headers = {"Authorization": "Bearer " + open(d + "token").read()}
        headers["Content-Type"] = "application/json"
        request = r.Request(url, json.dumps(body).encode(), headers)
        print(r.urlopen(request, context=context).read().decode(), flush=True)
    """
    pod = program_pod("who", program, {}, serviceAccountName="default", restartPolicy="Never")
    cluster.admin.create(pod, namespace)
    wait_for(node, "who", "main ended: 0")
    user = json.loads(output(node, "who")[0])["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["who"]
    remove(cluster.admin, node, "who", namespace)


def test_variables(cluster: Cluster, node: Agent, namespace: str) -> None:
    """Values come from the spec, the Pod, ConfigMaps and Secrets, also inside other values."""
    data = {"ConfigMap": {"data": {"a": "1", "b": "2"}}}
    data["Secret"] = {"data": {"c": base64.b64encode(b"3").decode()}}
    for kind, content in data.items():
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "given"}, **content}
        cluster.admin.create(made, namespace)
    reference = {"name": "given"}
    sources: Object = {
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "A": {"configMapKeyRef": {**reference, "key": "a"}},
        "C": {"secretKeyRef": {**reference, "key": "c"}},
        "NONE": {"secretKeyRef": {**reference, "key": "no", "optional": True}},
    }
    environment = [{"name": name, "valueFrom": source} for name, source in sources.items()]
    environment.append({"name": "URL", "value": "http://$(POD_IP)/$(NAME)/$(A)$$(A)$(NO)"})
    container: Object = {
        "env": environment,
        "envFrom": [{"prefix": "X_", "configMapRef": reference}],
        "args": ["$(NAME)", "$(C)"],
    }
    program = "import os, sys, json; print(json.dumps([dict(os.environ), sys.argv[1:]]))"
    cluster.admin.create(program_pod("env", program, container, restartPolicy="Never"), namespace)
    wait_for(node, "env", "main ended: 0")
    variables, arguments = json.loads(output(node, "env")[0])
    address = node.pod("env").address
    assert variables["URL"] == f"http://{address}/env/1$(A)$(NO)"
    assert (variables["X_a"], variables["X_b"], variables["C"]) == ("1", "2", "3")
    assert "NONE" not in variables
    assert arguments == ["env", "3"]
    remove(cluster.admin, node, "env", namespace)


def test_a_secret_that_changes(cluster: Cluster, node: Agent, namespace: str) -> None:
    """A Pod waits for a Secret that is missing, and sees its changes a little later."""
    program = """
        import time
        last = ""
        while True:
            now = open("/s/key").read()
            if now != last:
                print(now, flush=True)
            last = now
            time.sleep(0.02)
    """
    mounts = [{"name": "s", "mountPath": "/s"}]
    volumes = [{"name": "s", "secret": {"secretName": "late"}}]
    pod = program_pod("reads", program, {"volumeMounts": mounts}, volumes=volumes)
    cluster.admin.create(pod, namespace)
    wait_for(node, "reads", "waits: Secret late is not there")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    cluster.admin.apply({**secret, "stringData": {"key": "first"}}, namespace)
    wait_for(node, "reads", "started main")
    eventually(lambda: output(node, "reads") == ["first"], "the first value", 5)
    cluster.admin.apply({**secret, "stringData": {"key": "second"}}, namespace)
    eventually(lambda: output(node, "reads") == ["first", "second"], "the second value", 5)
    remove(cluster.admin, node, "reads", namespace)


def test_probes(cluster: Cluster, node: Agent, namespace: str) -> None:
    """Two Pods listen on the same port; each is ready while its probe passes, started when alive.

    When the probe of its life fails often enough, the container is stopped in order and started.
    """
    program = f"""
        import os, threading, time
        open("/e/alive", "w")
        open("/e/ready", "w")
        {SERVE}.serve_forever()
    """
    probes: Object = {
        "ports": [{"name": "http", "containerPort": 8000}],
        "startupProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 9},
        "readinessProbe": {"httpGet": {"port": "http", "path": "/e/ready"}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["ls", "/e/alive"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "e", "mountPath": "/e"}],
    }
    probes["readinessProbe"]["failureThreshold"] = 1
    probes["livenessProbe"]["failureThreshold"] = 2
    for name in ("probed", "probed-too"):
        pod = program_pod(name, program, probes, volumes=[{"name": "e", "emptyDir": {}}])
        cluster.admin.create(pod, namespace)
    for name in ("probed", "probed-too"):
        wait_for(node, name, "ready")
    uid = node.pod("probed").pod["metadata"]["uid"]
    shared = node.settings.folder / "volumes" / uid / "e"
    (shared / "ready").unlink()
    wait_for(node, "probed", "not ready")
    (shared / "alive").unlink()
    wait_for(node, "probed", "main: livenessProbe failed")
    eventually(lambda: happenings(node, "probed").count("started main") == 2, "a restart", 10)
    status = eventually(
        lambda: (
            (found := cluster.admin.get("Pod", "probed", namespace)["status"])["containerStatuses"][
                0
            ]["restartCount"]
            and found
        ),
        "the restart in the status",
    )
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 128 + 15
    assert "not ready" not in happenings(node, "probed-too")
    for name in ("probed", "probed-too"):
        remove(cluster.admin, node, name, namespace)


def test_the_order_of_an_end(cluster: Cluster, node: Agent, namespace: str) -> None:
    """First the hook, then SIGTERM; SIGKILL when the grace period is over; then it is gone."""
    program = """
        import signal, time
        signal.signal(signal.SIGTERM, lambda *_: print("asked to stop", flush=True))
        print("runs", flush=True)
        while True:
            time.sleep(1)
    """
    hook = {"preStop": {"exec": {"command": ["touch", "/e/hook"]}}}
    mounts = [{"name": "e", "mountPath": "/e"}]
    container: Object = {"lifecycle": hook, "volumeMounts": mounts}
    volumes = [{"name": "e", "emptyDir": {}}]
    cluster.admin.create(program_pod("ends", program, container, volumes=volumes), namespace)
    wait_for(node, "ends", "ready")
    eventually(lambda: output(node, "ends") == ["runs"], "a start", 5)
    remove(cluster.admin, node, "ends", namespace)
    told = [what for what in happenings(node, "ends") if not what.startswith("volume")]
    assert told == [
        "started main",
        "ready",
        "terminating, 2 s",
        "main: preStop",
        "main: SIGTERM",
        "main: grace period over",
        "main: SIGKILL",
        "main ended: -9",
        "not ready",
        "gone",
    ]
    assert output(node, "ends") == ["runs", "asked to stop"]
    assert cluster.admin.find("Pod", "ends", namespace) is None


def test_an_end_that_is_hurried(cluster: Cluster, node: Agent, namespace: str) -> None:
    """A second deletion with a shorter grace period shortens what is left of the first."""
    program = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("runs", flush=True)
        while True:
            time.sleep(1)
    """
    pod = program_pod("hurried", program, {}, terminationGracePeriodSeconds=60)
    cluster.admin.create(pod, namespace)
    wait_for(node, "hurried", "ready")
    eventually(lambda: output(node, "hurried") == ["runs"], "a start", 5)
    cluster.admin.delete("Pod", "hurried", namespace)
    wait_for(node, "hurried", "terminating, 60 s")
    cluster.admin.delete("Pod", "hurried", namespace, {"gracePeriodSeconds": 1})
    wait_for(node, "hurried", "terminating, only 1 s", "main ended: -9", "gone")


def test_a_program_that_crashes(cluster: Cluster, node: Agent, namespace: str) -> None:
    """It is started again at once, then after a wait that doubles."""
    cluster.admin.create(program_pod("crashes", "raise SystemExit(3)", {}), namespace)
    eventually(lambda: happenings(node, "crashes").count("started main") >= 4, "restarts", 15)
    remove(cluster.admin, node, "crashes", namespace)
    starts = [h.at for h in node.history if h.pod == "crashes" and h.what == "started main"]
    assert starts[1] - starts[0] < 0.9
    assert starts[2] - starts[1] >= 1.0
    assert starts[3] - starts[2] >= 2.0


def test_a_pod_that_knows_itself(cluster: Cluster, node: Agent, namespace: str) -> None:
    """A projected volume has the Pod's own fields beside a ConfigMap, which may be missing."""
    program = """
        import os
        print(sorted(n for n in os.listdir("/p") if n[:2] != ".."), open("/p/labels/team").read())
    """
    field = {"path": "labels/team", "fieldRef": {"fieldPath": "metadata.labels['team']"}}
    sources = [
        {"downwardAPI": {"items": [field]}},
        {"configMap": {"name": "none", "optional": True}},
        {"secret": {"name": "token", "items": [{"key": "a", "path": "renamed"}]}},
    ]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}}
    cluster.admin.create({**secret, "stringData": {"a": "1", "b": "2"}}, namespace)
    container: Object = {"volumeMounts": [{"name": "p", "mountPath": "/p"}]}
    volumes = [{"name": "p", "projected": {"sources": sources}}]
    pod = program_pod("knows", program, container, volumes=volumes, restartPolicy="Never")
    pod["metadata"]["labels"] = {"team": "render"}
    cluster.admin.create(pod, namespace)
    wait_for(node, "knows", "main ended: 0")
    assert output(node, "knows") == ["['labels', 'renamed'] render"]
    remove(cluster.admin, node, "knows", namespace)


def test_a_secret_that_only_root_could_read(cluster: Cluster, node: Agent, namespace: str) -> None:
    """Here any user could read it, on a real node none but root: that is a failure too."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "closed"}}
    cluster.admin.create({**secret, "stringData": {"key": "x"}}, namespace)
    volumes = [{"name": "v", "secret": {"secretName": "closed", "defaultMode": 0o400}}]
    cluster.admin.create(program_pod("closed", "", {}, volumes=volumes), namespace)
    eventually(lambda: node.failures, "a failure", 10)
    why = 'volume "v": key can be read by root alone, without fsGroup'
    assert str(node.failures.pop()) == why
    remove(cluster.admin, node, "closed", namespace)


def test_what_is_not_supported_is_a_failure(cluster: Cluster, node: Agent, namespace: str) -> None:
    """A Pod that asks for what the node does not do fails the test that has it, by name."""
    pods: dict[str, Object] = {
        'image "nginx"; there is python, vci-webhook': {"image": "nginx"},
        'container "main" may not run as root': {
            "securityContext": {"runAsUser": 0, "runAsNonRoot": True}
        },
    }
    for number, (why, container) in enumerate(pods.items()):
        name = f"unsupported-{number}"
        cluster.admin.create(program_pod(name, "", container), namespace)
        eventually(lambda: node.failures, "a failure", 10)
        assert str(node.failures.pop()) == why
        remove(cluster.admin, node, name, namespace)
