"""The certificate program and an API server that says what a test tells it to."""

import io
import json
import logging
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from certs.__main__ import main
from tests.contract.api_server import Answer, ScriptedApiServer, event, poll, refuse
from tests.contract.certs_objects import (
    CA,
    MUTATING_PATH,
    PATHS,
    SERVING,
    VALIDATING_PATH,
    Good,
    answer,
    good,
    without_bundle,
    write_kubeconfig,
)

UNFINISHED = 3


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Take the program's log away again: its stream is this test's, and closed afterwards."""
    before, level = [*logging.root.handlers], logging.root.level
    yield
    for handler in {*logging.root.handlers} - {*before}:
        logging.root.removeHandler(handler)
    logging.root.setLevel(level)


@pytest.fixture
def objects(api: ScriptedApiServer) -> Good:
    """All is well, and the API server says so."""
    objects = good()
    objects.script(api)
    return objects


@pytest.fixture
def kubeconfig(api: ScriptedApiServer, tmp_path: Path) -> str:
    return str(write_kubeconfig(api, tmp_path))


def ensure(kubeconfig: str, *flags: str) -> int:
    return main(["ensure", "--kubeconfig", kubeconfig, *flags])


def patches(api: ScriptedApiServer) -> list[tuple[str, Any]]:
    """Give what was written, and where."""
    sent = [each for each in api.requests if each.method == "PATCH"]
    return [(each.path, json.loads(each.body)) for each in sent]


def test_when_all_is_well_nothing_is_written(
    api: ScriptedApiServer, objects: Good, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four objects are read, and that is all."""
    assert objects.ca
    assert ensure(kubeconfig) == 0
    assert capsys.readouterr().out.rstrip().endswith("all is well, nothing to do")
    assert sorted(each.path for each in api.requests) == sorted(PATHS.values())


def test_a_bundle_is_written_and_nothing_besides(
    api: ScriptedApiServer, objects: Good, kubeconfig: str
) -> None:
    """One patch that names the version it is based on, of the bundles alone."""
    empty = without_bundle(objects.mutating)
    api.script(f"GET {CA}", answer(objects.unnoted), answer(objects.ca))
    api.script(f"GET {MUTATING_PATH}", answer(empty), answer(objects.mutating))
    api.script(f"PATCH {MUTATING_PATH}", answer({}))
    assert ensure(kubeconfig) == 0
    ((path, body),) = patches(api)
    assert path == MUTATING_PATH
    assert [each["path"] for each in body] == [
        "/metadata/resourceVersion",
        "/webhooks/0/clientConfig/caBundle",
    ]
    assert body[0]["value"] == "8"


def test_who_comes_second_looks_again(
    api: ScriptedApiServer, objects: Good, kubeconfig: str
) -> None:
    """A conflict, or an object that is gone meanwhile, is no failure."""
    empty, unnoted = answer(without_bundle(objects.mutating)), answer(objects.unnoted)
    api.script(f"GET {CA}", unnoted, unnoted, unnoted, answer(objects.ca))
    api.script(f"GET {MUTATING_PATH}", empty, empty, empty, answer(objects.mutating))
    api.script(f"PATCH {MUTATING_PATH}", refuse(409, "Conflict"), refuse(404), answer({}))
    assert ensure(kubeconfig) == 0
    assert len(patches(api)) == 3


def test_a_secret_is_created_by_a_manager_of_its_own(
    api: ScriptedApiServer, objects: Good, kubeconfig: str
) -> None:
    """By server-side apply, so that of two creators the second conflicts and adds nothing."""
    api.script(f"GET {SERVING}", refuse(404), answer(objects.serving))
    api.script(f"PATCH {SERVING}", answer({}))
    assert ensure(kubeconfig) == 0
    (request,) = [each for each in api.requests if each.method == "PATCH"]
    assert request.headers["content-type"] == "application/apply-patch+yaml"
    assert request.query["fieldManager"].startswith("vci-webhook-certs-")
    assert json.loads(request.body)["type"] == "kubernetes.io/tls"


def test_a_dry_run_only_reads(
    api: ScriptedApiServer, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is nothing at all, it says what would be made."""
    assert ensure(kubeconfig, "--dry-run") == UNFINISHED
    told = capsys.readouterr().out
    assert "there is no CA Secret" in told
    assert "MutatingWebhookConfiguration/vci-webhook: there is none" in told
    assert "nothing was written; leave --dry-run out to do it" in told
    assert {each.method for each in api.requests} == {"GET"}


def test_what_must_wait_is_said(
    api: ScriptedApiServer, objects: Good, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its CA Secret a new CA is published, and signs later: exit status 3, and when."""
    api.script(f"GET {CA}", refuse(404))
    assert ensure(kubeconfig, "--dry-run") == UNFINISHED
    told = capsys.readouterr().out
    assert "issue a CA" in told
    assert "may sign (waiting for it)" in told
    assert objects.ca


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (refuse(403, "Forbidden"), "403 for a test: Forbidden"),
        (refuse(401, "Unauthorized"), "401 for a test: Unauthorized"),
        (refuse(503, "ServiceUnavailable"), "503 for a test: ServiceUnavailable"),
        (Answer(500, (b"oops",)), "500 without a reason that can be read"),
        (Answer(200, (b"{",)), "Expecting property name"),
        (Answer(then="cut", without_head=True), f"GET {CA}: "),
    ],
)
def test_what_cannot_be_read_ends_the_pass(
    api: ScriptedApiServer,
    kubeconfig: str,
    capsys: pytest.CaptureFixture[str],
    refusal: Answer,
    said: str,
) -> None:
    """Exit status 1 and one line: which request, and what the API server said."""
    api.script(f"GET {CA}", refusal)
    assert ensure(kubeconfig) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (refuse(403, "Forbidden"), f"failed: PATCH {MUTATING_PATH}: 403 for a test: Forbidden"),
        (refuse(422, "Invalid"), f"failed: PATCH {MUTATING_PATH}: 422 Invalid"),
    ],
)
def test_what_cannot_be_written_holds_up_nothing_else(
    api: ScriptedApiServer, objects: Good, kubeconfig: str, refusal: Answer, said: str
) -> None:
    """The other configuration gets its bundle, and the failure is told in the end."""
    api.script(f"GET {CA}", answer(objects.unnoted))
    api.script(f"GET {MUTATING_PATH}", answer(without_bundle(objects.mutating)))
    api.script(f"PATCH {MUTATING_PATH}", refusal)
    empty = answer(without_bundle(objects.validating))
    api.script(f"GET {VALIDATING_PATH}", empty, answer(objects.validating))
    api.script(f"PATCH {VALIDATING_PATH}", answer({}))
    with redirect_stdout(io.StringIO()) as told:
        assert ensure(kubeconfig) == 1
    assert said in told.getvalue()
    assert [path for path, _ in patches(api)] == [MUTATING_PATH, VALIDATING_PATH]


def test_an_api_server_that_is_not_there_is_told(
    api: ScriptedApiServer, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens, and that is said in one line."""
    api.down()
    assert ensure(kubeconfig) == 1
    assert "Cannot connect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--kubeconfig", "/none"), "--kubeconfig: /none: no usable credentials: no such file;"),
        (("--namespace", "A b"), '--namespace (VCI_WEBHOOK_CERTS_NAMESPACE): "A b" is not a name;'),
        (("--ca-secret", "x", "--serving-secret", "x"), "--ca-secret: is --serving-secret too;"),
        (("--mutating", "", "--validating", ""), "--mutating and --validating: no name given;"),
        (("--publish-wait", "60"), '"60" is not a duration; give a number and a unit'),
        (("--ca-lifetime", "9999999d"), "more than 100 years"),
        (("--renew-at", "1.5"), '"1.5" is not a part of a life'),
        (("--renew-at", "x"), '"x" is not a part of a life'),
        (("--serving-lifetime", "2m"), "--serving-lifetime: what is left of it after --renew-at"),
        (("--ca-lifetime", "40d"), "--ca-lifetime: what is left of it after --renew-at"),
        (("--mutating", "a,B_"), '"B_" is not an object\'s name'),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and the flag with its variable."""
    assert main(["ensure", *flags]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("INTERVAL", "0.5s", '"0.5s" is less than a second'),
        ("PORT", "99999", '"99999" is not a port'),
        ("LOG_FORMAT", "xml", '"xml" is not a format'),
        ("HOST", " ", "is empty"),
    ],
)
def test_the_environment_is_read_as_flags_are(
    name: str,
    value: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong in a variable is told with its name."""
    monkeypatch.setenv(f"VCI_WEBHOOK_CERTS_{name}", value)
    assert main(["run"]) == 2
    told = capsys.readouterr().err
    assert f"VCI_WEBHOOK_CERTS_{name}" in told
    assert said in told


def test_without_a_cluster_there_is_nothing_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a kubeconfig nor a Pod: one line says what to give."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ensure"]) == 2
    assert "--kubeconfig: missing, and this is not a Pod" in capsys.readouterr().err


@pytest.fixture
def program(objects: Good, kubeconfig: str) -> Iterator["subprocess.Popen[str]"]:
    """A program that runs, and logs JSON."""
    assert objects.ca
    command = [sys.executable, "-m", "certs", "run", "--kubeconfig", kubeconfig, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--log-format", "json"], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_record(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stderr
    record: dict[str, Any] = json.loads(process.stderr.readline())
    return record


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_change_that_is_watched_is_acted_on_at_once(
    api: ScriptedApiServer, objects: Good, program: "subprocess.Popen[str]"
) -> None:
    """Long before the interval is over; what the event says is not even looked at."""
    port = next_record(program)["port"]
    assert next_record(program)["message"] == "all is well"
    watched = f"GET {MUTATING_PATH.rpartition('/')[0]}"
    poll(lambda: api.live(watched) == 1, "the watch")
    api.script(
        f"GET {MUTATING_PATH}", answer(without_bundle(objects.mutating)), answer(objects.mutating)
    )
    api.script(f"PATCH {MUTATING_PATH}", answer({}))
    api.script(f"GET {CA}", answer(objects.unnoted), answer(objects.ca))
    api.push(watched, event("MODIFIED", {"anything": True}))
    record = next_record(program)
    assert record["message"] == "publish the bundle"
    assert get(port, "/readyz") == (200, "ok\n")
    assert get(port, "/healthz") == (200, "ok\n")
    assert get(port, "/else")[0] == 404
    assert 'vci_webhook_certs_expiry_seconds{certificate="serving"}' in get(port, "/metrics")[1]
    program.send_signal(signal.SIGTERM)
    assert program.wait(5) == 0


def test_a_cluster_that_fails_is_asked_again(
    api: ScriptedApiServer, objects: Good, program: "subprocess.Popen[str]"
) -> None:
    """The failure is a log line, a metric and the probe's answer, until all is well again."""
    port = next_record(program)["port"]
    assert next_record(program)["message"] == "all is well"
    api.script(f"GET {SERVING}", refuse(503, "ServiceUnavailable"), answer(objects.serving))
    watched = f"GET {SERVING.rpartition('/')[0]}"
    poll(lambda: api.live(watched) == 2, "the watches")
    api.push(watched, event("MODIFIED", {}))
    record = next_record(program)
    assert record["message"] == "pass failed"
    assert "503 for a test" in record["problem"]
    assert next_record(program)["message"] == "all is well"
    assert "vci_webhook_certs_errors_total 1.0" in get(port, "/metrics")[1]


def test_a_port_that_is_taken_is_told(
    api: ScriptedApiServer, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit status 2."""
    assert main(["run", "--kubeconfig", kubeconfig, "--port", str(api.port)]) == 2
    assert "--port: cannot listen on 127.0.0.1 port" in capsys.readouterr().err
