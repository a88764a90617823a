"""What the API server sends to a webhook, and when."""

from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.process import eventually
from tests.cluster.scripted import ALLOW, MARK
from tests.cluster.workloads import bare_pod


def test_the_request(cluster: Cluster, namespace: str) -> None:
    """The call is one HTTP/1.1 POST that says how long the API server will wait."""
    with scripted_webhook(cluster, namespace, timeoutSeconds=5) as webhook:
        cluster.admin.create(bare_pod(), namespace)
    (request,) = webhook.requests
    assert request.line == "POST /mutate?timeout=5s HTTP/1.1"
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["user-agent"] == "kube-apiserver-admission"
    assert headers["accept"] == "application/json, */*"
    assert headers["accept-encoding"] == "gzip"
    assert headers["content-type"] == "application/json"
    assert 2000 < len(request.body) < 3000


def test_a_generated_name_is_not_known_yet(cluster: Cluster, namespace: str) -> None:
    """With generateName the review has no name: neither the request's nor the Pod's."""
    with scripted_webhook(cluster, namespace) as webhook:
        created = cluster.admin.create(bare_pod(), namespace)
    (request,) = webhook.requests
    assert request.review["request"].get("name") is None
    assert "name" not in request.pod["metadata"]
    assert request.pod["metadata"]["generateName"] == "bare-"
    assert created["metadata"]["name"].startswith("bare-")


def test_the_review_has_what_other_admission_gave(cluster: Cluster, namespace: str) -> None:
    """The Pod arrives with its ServiceAccount's token, default tolerations, and priority."""
    with scripted_webhook(cluster, namespace) as webhook:
        cluster.admin.create(bare_pod(), namespace)
    spec = webhook.requests[0].pod["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["volumes"][0]["name"].startswith("kube-api-access-")
    assert [toleration["key"] for toleration in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert spec["priority"] == 0


def test_connections_are_kept(cluster: Cluster, namespace: str) -> None:
    """One Pod after another goes over the same connection."""
    with scripted_webhook(cluster, namespace) as webhook:
        for _ in range(3):
            cluster.admin.create(bare_pod(), namespace)
    assert len({request.client for request in webhook.requests}) == 1


def test_a_dry_run_asks_the_webhook_too(cluster: Cluster, namespace: str) -> None:
    """A dry run is sent with ``dryRun: true``, and its answer shows the patch."""
    with scripted_webhook(cluster, namespace, MARK) as webhook:
        pod = cluster.admin.create(bare_pod(), namespace, "?dryRun=All")
    assert webhook.requests[0].review["request"]["dryRun"] is True
    assert pod["metadata"]["labels"] == {"marked": "true"}
    assert not cluster.admin.list("Pod", namespace)


def test_a_status_or_a_change_is_not_sent(cluster: Cluster, namespace: str) -> None:
    """A rule for CREATE of pods is not called for an update of the Pod or of its status."""
    with scripted_webhook(cluster, namespace, ALLOW) as webhook:
        name = cluster.admin.create(bare_pod(), namespace)["metadata"]["name"]
        cluster.admin.patch("Pod", name, namespace, {"metadata": {"labels": {"changed": "true"}}})

        def completed() -> bool:
            pod = cluster.admin.get("Pod", name, namespace)
            return bool(pod["status"]["phase"] == "Succeeded")

        eventually(completed, "the kubelet's status")
    assert len(webhook.requests) == 1
