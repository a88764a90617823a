"""What is logged: who was placed and why, in one line, and never what a Pod contains."""

import asyncio
import json
import logging
import os
import re
import subprocess
from typing import Any

import pytest

from tests.contract.conftest import PROFILE
from tests.contract.reviews import POD, UID, encoded
from tests.contract.serving import (
    Files,
    ServeProcess,
    ServerThread,
    command,
    serve_process,
    wait_until,
)
from tests.contract.settled import records_of, settled_log
from webhook.log import EventHandler, json_line, text_line
from webhook.manifests import profile_from_manifest
from webhook.state import Snapshot

CANARY = "only-the-pod-knows"
NAMES = ("a\nb", "\x1b[31m", "\u2028", "\u202egpj", "\x00", '"}{"', "\x9b2J", "é" * 300)


def test_a_placed_pod_is_one_line(webhook: ServeProcess) -> None:
    """Who, where, what was decided, by which rules, how long it took."""
    (record,) = records_of(webhook, encoded())
    assert record.pop("duration_ms") < 1000
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "message": "reviewed",
        "uid": UID,
        "namespace": "argo",
        "name": "hello-",
        "decision": "enforce",
        "rules": ["workflows"],
        "reasons": [],
        "shadows": [],
    }


def test_a_skipped_pod_is_one_line_with_the_reasons(webhook: ServeProcess) -> None:
    """A Pod left alone is told with why, also when its annotation is there already."""
    pod = {**POD, "spec": {**POD["spec"], "hostNetwork": True}}
    annotated = {**pod, "metadata": {"name": "a", "annotations": {"vci-webhook/skipped": "{}"}}}
    for body in (encoded(pod), encoded(annotated)):
        (record,) = records_of(webhook, body)
        assert (record["decision"], record["reasons"]) == ("skipped", ["hostNetwork"])


def test_what_was_not_touched_is_not_logged(webhook: ServeProcess) -> None:
    """Pods that no rule matches, and other reviews, leave no line."""
    for body in (
        encoded(namespace="plain"),
        encoded(operation="UPDATE"),
        encoded(namespace="kube-system"),
    ):
        assert records_of(webhook, body) == []


def test_a_refusal_is_told_without_the_body(webhook: ServeProcess) -> None:
    """A review that cannot be used is a warning with the sentence that the sender got."""
    (record,) = records_of(webhook, b'{"a": "%b"}' % CANARY.encode())
    assert (record["level"], record["status"]) == ("warning", 400)
    assert CANARY not in json.dumps(record)


def test_an_unknown_namespace_is_told(webhook: ServeProcess) -> None:
    """The namespace whose labels are missing is named, at most once in ten seconds."""
    told: list[dict[str, Any]] = []

    def is_told() -> bool:
        told.extend(records_of(webhook, encoded(namespace="nobody-knows")))
        return bool(told)

    wait_until(is_told, "a line about the namespace")
    assert [(r["message"], r["namespace"]) for r in told] == [("namespace unknown", "nobody-knows")]


def test_an_endless_name_does_not_fill_the_log(webhook: ServeProcess) -> None:
    """Of names that are longer than any can be, only the beginning is logged."""
    pod = {**POD, "metadata": {"name": "n" * 50_000}}
    (record,) = records_of(webhook, encoded(pod, uid="u" * 50_000))
    assert (record["name"], record["uid"]) == ("n" * 253, "u" * 253)


def test_nothing_of_a_pod_reaches_the_log(webhook: ServeProcess) -> None:
    """Annotations, labels, environment, arguments, images and tokens stay where they are."""
    pod: dict[str, Any] = {
        "metadata": {
            "name": "a",
            "labels": {"l": CANARY},
            "annotations": {"a": CANARY, "vke.volcengine.com/burst-to-vci": CANARY},
        },
        "spec": {
            "containers": [
                {
                    "name": CANARY,
                    "image": CANARY,
                    "args": [CANARY],
                    "env": [{"name": "x", "value": CANARY}],
                }
            ],
            "nodeSelector": {"type": CANARY},
            "tolerations": [{"key": CANARY}],
        },
    }
    for body in (
        encoded(pod),
        encoded(pod, userInfo={"username": CANARY, "extra": {"token": [CANARY]}}),
        encoded({**pod, "spec": {**pod["spec"], "containers": CANARY}}),
        encoded(pod)[:-3],
        encoded(pod).replace(b'"a"', b'"\xff"'),
    ):
        webhook.post(body)
    assert CANARY not in settled_log(webhook)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_name_cannot_forge_a_line(
    servers: dict[str, ServeProcess], name: str, log_format: str
) -> None:
    """Whatever a Pod calls itself, its review is one line of printable ASCII."""
    server = servers[log_format]
    before = settled_log(server)
    server.post(encoded({**POD, "metadata": {"name": name}}, uid=name))
    added = settled_log(server).removeprefix(before)
    assert added.endswith("\n")
    assert added[:-1].isascii()
    assert added[:-1].isprintable()


@pytest.fixture(scope="module")
def servers(files: Files, tmp_path_factory: pytest.TempPathFactory, webhook: ServeProcess) -> Any:
    """One server for each format."""
    log_file = tmp_path_factory.mktemp("text") / "log"
    with serve_process(files, log_file, "--log-format=text") as text:
        yield {"json": webhook, "text": text}


def test_a_line_waits_for_the_answer_that_it_is_about() -> None:
    """It is given to the log's thread when the event loop has turned, and written then."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    handler = EventHandler(writer, json_line)

    async def decide() -> None:
        handler.event_later("info", "reviewed", {})
        handler.flush()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1000)
        await asyncio.sleep(0)
        handler.flush()
        assert b"reviewed" in os.read(reader, 1000)

    asyncio.run(decide())
    handler.event_later("info", "stopped", {})
    handler.flush()
    assert b"stopped" in os.read(reader, 1000)


def test_a_terminal_gets_text_and_anything_else_json(files: Files) -> None:
    """Unless told, the format is the reader's: a person at a terminal, or a collector of logs."""
    for terminal, begins in (
        (True, rb"\d\d:\d\d:\d\d info    profile read "),
        (False, rb'{"time":"'),
    ):
        read, write = os.openpty() if terminal else os.pipe()
        arguments = ("serve", *files.flags(), "--port=0", "--management-port=0")
        process = subprocess.Popen(command(*arguments), stderr=write)
        os.close(write)
        first = os.read(read, 1000)
        process.kill()
        process.wait()
        os.close(read)
        assert re.match(begins, first)


def test_text_is_for_people(servers: dict[str, ServeProcess]) -> None:
    """Time, level, message and the values by name."""
    servers["text"].post(encoded())
    line = settled_log(servers["text"]).splitlines()[-1]
    assert " info    reviewed uid=" in line
    assert " namespace=argo name=hello- decision=enforce rules=workflows reasons=" in line


class _Broken(dict[str, dict[str, str]]):
    """Namespaces that cannot be asked: what a bug of ours looks like to the endpoint."""

    def get(self, _name: object, _default: object = None) -> Any:
        """Fail, with something of the Pod in the text."""
        raise RuntimeError(CANARY) from ValueError(CANARY)


def test_a_failure_of_ours_is_a_500_and_its_traceback_quotes_nothing(
    server_thread: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is an internal error; the log has its place in the code, not what it choked on."""
    profile, _ = profile_from_manifest(json.dumps(PROFILE).encode(), "tests")
    server_thread.state.replace(profile=profile, namespaces=_Broken())
    with server_thread.connect() as connection:
        response = connection.post(encoded())
        assert (response.status, response.error) == (500, "internal error; the log has the cause")
        server_thread.state.snapshot = Snapshot()
        assert connection.post(encoded()).status == 200
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    for render in (text_line, json_line):
        told = _rendered(record, render)
        assert "in _decide" in told
        assert "RuntimeError" in told
        assert "ValueError" in told
        assert CANARY not in told


def _rendered(record: logging.LogRecord, render: Any) -> str:
    """Give what the handler of the process would write."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as output:
        handler = EventHandler(write, render)
        handler.handle(record)
        handler.flush()
        os.close(write)
        return output.read().decode()
