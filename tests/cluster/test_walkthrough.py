"""docs/walkthrough.md, command by command, on a real control plane: each step does what it says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.nodes import VIRTUAL_NODE
from tests.cluster.process import eventually, running
from tests.cluster.workloads import finished_workflow, pods_of

PAGE = Path(__file__).parents[2] / "docs" / "walkthrough.md"
NAMESPACE = "workflows"
CONFIGURATION = ("MutatingWebhookConfiguration", "vci-webhook")
PROFILE = ("ConfigMap", "vci-profile", "kube-system")


def commands(step: int) -> list[str]:
    """Read the commands of a step of the page."""
    parts = re.split(r"^## \d+\. .*$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return re.findall(r"^```sh\n(.*?)^```$", parts[step], re.DOTALL | re.MULTILINE)


@dataclass(slots=True)
class Terminal:
    """A shell in a folder that has the examples, as the page assumes."""

    cluster: Cluster
    folder: Path
    stack: ExitStack

    @property
    def environment(self) -> dict[str, str]:
        """What makes the page's commands those of this checkout and this control plane."""
        programs = (Path(sys.executable).parent, self.cluster.plane.programs["kubectl"].parent)
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        return {"PATH": path, "KUBECONFIG": str(self.cluster.plane.kubeconfig)}

    def run(self, command: str) -> str:
        """Run a command of the page, and return what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, command: str) -> None:
        """Run a command that goes on, like in a terminal of its own."""
        shell = (
            "bash",
            "-euc",
            f"cd '{self.folder}'; {command.replace('vci-webhook', 'exec vci-webhook')}",
        )
        self.stack.enter_context(running(shell, self.log, self.environment))

    @property
    def log(self) -> Path:
        """What the webhook says."""
        return self.folder / "webhook.log"

    def says(self, words: str) -> None:
        """Wait until the webhook has said something."""
        eventually(lambda: words in self.log.read_text("utf-8"), f'"{words}" in the log', 15)

    def submit(self, command: str) -> list[Object]:
        """Submit a workflow, wait for its good end, and return its Pods."""
        name = self.run(f"{command.strip()} --output name").strip().partition("/")[2]
        metadata = {"name": name, "namespace": NAMESPACE}
        workflow = finished_workflow(self.cluster.admin, {"metadata": metadata})
        assert workflow["status"]["phase"] == "Succeeded"
        return pods_of(self.cluster.admin, workflow)


@pytest.fixture(scope="module")
def terminal(
    session_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """A terminal, on a control plane that has nothing of what the page makes."""
    admin = session_cluster.admin
    admin.delete("Namespace", NAMESPACE)
    eventually(lambda: admin.find("Namespace", NAMESPACE) is None, "the end of the namespace")
    assert admin.find(*CONFIGURATION) is None
    admin.delete(*PROFILE)
    folder = tmp_path_factory.mktemp("walkthrough")
    (folder / "examples").symlink_to(EXAMPLES)
    with ExitStack() as stack:
        yield Terminal(session_cluster, folder, stack)
    admin.delete(*CONFIGURATION)
    admin.delete(*PROFILE)


def test_1_rights(terminal: Terminal) -> None:
    """The account exists, and the kubeconfig is its own: it may watch namespaces, and no Pods."""
    terminal.run(*commands(1))
    ask = "kubectl --kubeconfig webhook.kubeconfig auth can-i"
    assert terminal.run(f"{ask} watch namespaces").strip() == "yes"
    assert terminal.run(f"{ask} list pods || true").strip() == "no"


def test_2_the_webhook(terminal: Terminal) -> None:
    """It starts with its own certificate and account, and reads the cluster."""
    terminal.start(*commands(2))
    terminal.says("cluster read")
    terminal.says("no profile")


def test_3_the_configuration(terminal: Terminal) -> None:
    """The API server has the webhook's address, and the CA to trust."""
    terminal.run(*commands(3))
    (entry,) = terminal.cluster.admin.get(*CONFIGURATION)["webhooks"]
    assert entry["clientConfig"]["url"] == "https://127.0.0.1:8443/mutate"


def test_4_the_namespace(terminal: Terminal) -> None:
    """The namespace has the label; its account is there when the first Pod comes."""
    terminal.run(*commands(4))
    admin = terminal.cluster.admin
    assert admin.get("Namespace", NAMESPACE)["metadata"]["labels"]["vci"] == "true"
    eventually(lambda: admin.find("ServiceAccount", "default", NAMESPACE), "its account")


def test_5_the_profile(terminal: Terminal) -> None:
    """The webhook takes it over by itself."""
    terminal.run(*commands(5))
    terminal.says('"profile active"')


def test_6_a_workflow(terminal: Terminal) -> None:
    """Every Pod of the unchanged workflow is on the virtual node, and says why."""
    submit, look = commands(6)
    pods = terminal.submit(submit)
    assert {pod["spec"]["nodeName"] for pod in pods} == {VIRTUAL_NODE}
    assert terminal.run(look).count("argo-workflows") == len(pods) == 3


def test_7_another_profile(terminal: Terminal) -> None:
    """A workflow that is submitted afterwards has the new label, the Pods of before have not."""
    change, submit, look = commands(7)
    terminal.run(change)
    version = terminal.cluster.admin.get(*PROFILE)["metadata"]["resourceVersion"]
    terminal.says(f'"version":"{version}"')
    pods = terminal.submit(submit)
    traces = [json.loads(p["metadata"]["annotations"]["vci-webhook/applied"]) for p in pods]
    assert {trace["profile"] for trace in traces} == {version}
    shown = terminal.run(look)
    assert all(pod["metadata"]["name"] in shown for pod in pods)
    assert len(shown.splitlines()) == 1 + len(pods)


def test_8_a_mistake(terminal: Terminal) -> None:
    """``kubectl describe`` names it and what was meant; the repair is announced as well."""
    mistake, look, repair = commands(8)
    terminal.run(mistake)
    eventually(lambda: "RulesInvalid" in terminal.run(look), "the Event", 15)
    assert 'did you mean "namespaceSelector"?' in terminal.run(look)
    terminal.run(repair)
    eventually(lambda: "ProfileAccepted" in terminal.run(look), "the Event about the repair", 15)
