"""POST /validate as the API server meets it: real TLS, the same limits as for Pods."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import JSON_HEADERS, Connection, Response
from tests.contract.reviews import UID, encoded
from tests.contract.serving import Files, ServeProcess, ServerThread, serve_process, wait_until
from webhook.state import Fixed, Snapshot, State
from webhook.tls_pair import TlsFiles

BAD = '[{"name": "a"}]'


def review_of(selectors: str, **request: Any) -> bytes:
    """Make the review of the profile's creation."""
    fields: dict[str, Any] = {
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "operation": "CREATE",
        "namespace": "kube-system",
        "name": "vci-profile",
        "object": {
            "metadata": {"name": "vci-profile", "namespace": "kube-system"},
            "data": {"selectors": selectors},
        },
        **request,
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": fields}
    ).encode()


def validate(connection: Connection, body: bytes) -> Response:
    """Ask on a connection that stays open."""
    return connection.request("POST", "/validate?timeout=5s", body, JSON_HEADERS)


def test_a_bad_profile_is_refused_and_a_good_one_is_not(webhook: ServeProcess) -> None:
    """One connection takes both answers, and reviews of Pods between them."""
    with webhook.connect() as connection:
        refused = validate(connection, review_of(BAD))
        assert refused.status == 200
        assert refused.json["response"]["allowed"] is False
        assert refused.json["response"]["uid"] == UID
        assert "neither selector constrains" in refused.json["response"]["status"]["message"]
        assert connection.post(encoded()).status == 200
        accepted = validate(connection, review_of("[]"))
        assert accepted.json["response"]["allowed"] is True
        assert list(accepted.json["response"]["warnings"])


def test_what_is_refused_is_logged_without_its_text(webhook: ServeProcess) -> None:
    """The log says that a profile was refused and how many errors it has, not what is in it."""
    with webhook.connect() as connection:
        validate(connection, review_of('[{"name": "secret-name"}]', uid="logged"))
    wait_until(lambda: '"uid":"logged"' in webhook.log, "the line")
    (record,) = [r for r in webhook.records if r.get("uid") == "logged"]
    assert record["message"] == "profile validated"
    assert (record["allowed"], record["errors"]) == (False, 1)
    assert "secret-name" not in webhook.log


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'"\xff"', b"[" * 100_000])
def test_what_is_no_review_is_a_400(webhook: ServeProcess, body: bytes) -> None:
    """An unusable body is the sender's fault, said in a sentence."""
    with webhook.connect() as connection:
        response = validate(connection, body)
        assert (response.status, bool(response.error)) == (400, True)
        assert validate(connection, review_of("[]")).status == 200


def test_the_limits_are_those_of_pods(webhook: ServeProcess) -> None:
    """Method, content type and size are judged before anything is read."""
    with webhook.connect() as connection:
        assert connection.request("GET", "/validate").status == 405
        refused = connection.request("POST", "/validate", b"{}", {"Content-Type": "text/plain"})
        assert refused.status == 415
    with webhook.connect() as connection:
        head = connection.head("POST", "/validate", {**JSON_HEADERS, "Content-Length": "5000000"})
        connection.send(head)
        assert connection.receive().status == 413


def test_a_pod_is_allowed_here_and_unchanged(webhook: ServeProcess) -> None:
    """A configuration that sends Pods to the wrong path breaks nothing."""
    with webhook.connect() as connection:
        response = validate(connection, encoded()).json["response"]
    assert response == {"uid": UID, "allowed": True}


def test_it_answers_before_the_cluster_was_read(server_thread: ServerThread) -> None:
    """A profile can be judged by itself: nothing that is followed is needed."""
    server_thread.source.missing = "profile and namespaces"
    try:
        with server_thread.connect() as connection:
            assert connection.post(encoded()).status == 503
            assert validate(connection, review_of("[]")).status == 200
    finally:
        server_thread.source.missing = ""


def test_the_settings_name_the_object(files: Files, tmp_path: Path) -> None:
    """With another name in the settings that object is judged, and the usual one is not."""
    profile = tmp_path / "profile.json"
    manifest = json.loads(files.profile.read_text())
    manifest["metadata"] = {"name": "rules", "namespace": "batch"}
    profile.write_text(json.dumps(manifest))
    flags = ("--profile-name=rules", "--profile-namespace=batch")
    others = Files(profile, files.namespaces, files.tls_dir)
    with (
        serve_process(others, tmp_path / "log", *flags) as server,
        server.connect() as connection,
    ):
        usual = validate(connection, review_of(BAD))
        ours = validate(connection, review_of(BAD, namespace="batch", name="rules"))
    assert usual.json["response"]["allowed"] is True
    assert ours.json["response"]["allowed"] is False


def test_reviews_of_pods_do_not_wait_for_a_large_profile(webhook: ServeProcess) -> None:
    """While a profile of ten thousand rules is judged, Pods are still answered."""
    rules = [
        {"name": f"r{n}", "objectSelector": {"matchLabels": {"app": f"a{n}"}}}
        for n in range(10_000)
    ]
    body = review_of(json.dumps(rules))
    answered = 0
    judged = threading.Event()

    def judge() -> bool:
        with webhook.connect() as connection:
            allowed: bool = validate(connection, body).json["response"]["allowed"]
        judged.set()
        return allowed

    with ThreadPoolExecutor(1) as pool, webhook.connect() as connection:
        judging = pool.submit(judge)
        while not judged.is_set():
            assert connection.post(encoded()).status == 200
            answered += 1
    assert judging.result()
    assert answered > 5


class _Incomparable(str):
    """A namespace that cannot be compared: what a bug of ours looks like to the endpoint."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _other: object) -> bool:
        raise RuntimeError("only the profile knows")

    def __ne__(self, _other: object) -> bool:
        raise RuntimeError("only the profile knows")


def test_a_failure_of_ours_is_a_500_that_quotes_nothing(
    tls_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is an internal error, which lets the profile through; it is counted and logged."""
    broken = Snapshot(profile_object=(_Incomparable("kube-system"), "vci-profile"))
    thread = ServerThread(Fixed(State(broken)), tls_dir / "ca.crt")
    with thread.running(TlsFiles(tls_dir)) as server, server.connect() as connection:
        response = validate(connection, review_of("[]"))
        assert (response.status, response.error) == (500, "internal error; the log has the cause")
        assert server.metric("requests_total", endpoint="validate", code="500") == 1
        assert connection.post(encoded(namespace="plain")).status == 200
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert record.message == "validating the profile failed"


def test_judgements_are_counted_and_timed(server_thread: ServerThread) -> None:
    """Good and bad profiles are answered 200, no reviews 400; each has its duration."""

    def counted() -> list[float]:
        codes = [
            server_thread.metric("requests_total", endpoint="validate", code=code)
            for code in ("200", "400")
        ]
        return [*codes, server_thread.metric("request_duration_seconds_count", endpoint="validate")]

    before = counted()
    with server_thread.connect() as connection:
        for body in (review_of("[]"), review_of(BAD), b"{"):
            validate(connection, body)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 1, 3]
