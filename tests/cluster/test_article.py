"""The page docs/getting-started.md, command by command, as somebody types it who follows it.

A test is one section of the page; each begins where the one before it ended.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.client import Client, Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.following import PROFILE
from tests.cluster.nodes import VIRTUAL_NODE
from tests.cluster.placing import PLACED, is_placed
from tests.cluster.process import eventually
from tests.cluster.reader import Shell, read_steps
from tests.cluster.reader import shell as open_shell
from tests.cluster.workloads import bare_pod

STEPS = read_steps(EXAMPLES.parent / "docs" / "getting-started.md")
SUBNETS = "vke.volcengine.com/preferred-subnet-ids"


@pytest.fixture(scope="module")
def shell(session_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell of an administrator; whatever it started ends with it."""
    forget_examples(session_cluster.admin)
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(EXAMPLES)
    (folder / ".venv").symlink_to(sys.prefix)
    programs = Path(session_cluster.plane.programs["kubectl"]).parent
    environment = {n: v for n, v in os.environ.items() if not n.startswith("VCI_WEBHOOK_")}
    environment |= {
        "KUBECONFIG": str(session_cluster.plane.kubeconfig),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
    }
    with open_shell(folder, environment) as terminal:
        yield terminal


def forget_examples(admin: Client) -> None:
    """Remove what other tests may have made of the examples: the page begins without them."""
    admin.delete(*PROFILE)
    admin.delete("Namespace", PLACED)
    eventually(lambda: admin.find("Namespace", PLACED) is None, "the end of the namespace")
    for manifest in read_manifests(EXAMPLES / "blender-volume.yaml"):
        if manifest["kind"] == "PersistentVolume":
            admin.delete("PersistentVolume", manifest["metadata"]["name"])


def pods(cluster: Cluster) -> list[Object]:
    """List the Pods of the article's namespace."""
    return cluster.admin.list("Pod", PLACED, labelSelector="workflows.argoproj.io/workflow")


def test_0_the_webhook_runs_with_its_own_rights(cluster: Cluster, shell: Shell) -> None:
    """It follows the cluster as the ServiceAccount of the example, and is asked."""
    shell.follow(STEPS["0. Run the webhook"])
    assert cluster.admin.find("ServiceAccount", "vci-webhook", "vci-webhook")
    ask = "kubectl --kubeconfig webhook.kubeconfig auth can-i"
    assert shell.type(f"{ask} watch namespaces").endswith("yes\n")
    assert shell.type(f"{ask} list pods").splitlines()[0] == "no"
    assert "client-key" not in shell.type("cat webhook.kubeconfig")


def test_1_a_namespace_is_created(cluster: Cluster, shell: Shell) -> None:
    """The namespace of the workflows exists, and nothing is special about it."""
    shell.follow(STEPS["1. Create a namespace"])
    assert "vci" not in cluster.admin.get("Namespace", PLACED)["metadata"]["labels"]


def test_2_it_is_labelled(cluster: Cluster, shell: Shell) -> None:
    """The label is what the profile selects."""
    shell.follow(STEPS["2. Label it"])
    assert cluster.admin.get("Namespace", PLACED)["metadata"]["labels"]["vci"] == "true"


def test_3_the_profile_is_created(cluster: Cluster, shell: Shell) -> None:
    """The cluster says beforehand whom the rule meets; then the profile acts on the next Pod."""
    shell.follow(STEPS["3. Create the profile"])
    assert cluster.admin.find(*PROFILE)
    eventually(lambda: cluster.admin.find("ServiceAccount", "default", PLACED), "an account")

    def acts() -> bool:
        return is_placed(cluster.admin.create(bare_pod(), PLACED, "?dryRun=All"))

    eventually(acts, "the profile in force", 10)


def test_4_the_workflow_runs_on_vci(cluster: Cluster, shell: Shell) -> None:
    """Each Pod of an unchanged workflow is on the virtual node, and says why."""
    output = shell.follow(STEPS["4. Submit the workflow"])
    assert output.count(VIRTUAL_NODE) == len(pods(cluster)) == 3
    traces = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [trace["rules"] for trace in traces] == [["argo-workflows"]] * 3


def test_5_the_profile_is_edited(cluster: Cluster, shell: Shell) -> None:
    """A change is stored, a slip of the pen is not; what runs stays as it is."""
    shell.follow(STEPS["5. Edit the profile"], failing=1)
    data = cluster.admin.get(*PROFILE)["data"]
    assert data["preferredSubnetIds"] == "subnet-3tispp1nai7vka8dpe1qg4vl"
    assert "matchLabels" in data["selectors"]
    assert {pod["metadata"]["annotations"][SUBNETS] for pod in pods(cluster)} == {
        "subnet-2fe6kt7dgy8lc59gp67abcdef"
    }


def test_6_the_next_workflow_has_the_change(cluster: Cluster, shell: Shell) -> None:
    """Submitted again, the same workflow has the new subnet, on every Pod."""
    output = shell.follow(STEPS["6. Submit again"])
    assert "subnet-2fe6kt7dgy8lc59gp67abcdef" not in output
    assert output.count("subnet-3tispp1nai7vka8dpe1qg4vl") == len(pods(cluster)) == 3


def test_7_no_trace_is_left(cluster: Cluster, shell: Shell) -> None:
    """Afterwards the API server asks nobody, and the profile is gone."""
    shell.follow(STEPS["7. Leave no trace"])
    assert not cluster.admin.list("MutatingWebhookConfiguration")
    assert not cluster.admin.list("ValidatingWebhookConfiguration")
    assert cluster.admin.find(*PROFILE) is None


def test_the_page_has_no_other_steps() -> None:
    """Each section of the page is one of the tests above, so that no command goes unchecked."""
    numbers = [title.partition(".")[0] for title in STEPS if title]
    assert not STEPS[""].commands
    assert numbers == [str(number) for number in range(8)]
