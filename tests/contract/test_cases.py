"""Every YAML case, sent to a real server as a real review and judged by the patched Pod."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.cases import Case, differences, load_cases, value_at
from tests.contract.client import Connection, Response
from tests.contract.reviews import encoded, operations_of, patched
from tests.contract.serving import ServerThread
from webhook.manifests import namespaces_from_manifests, profile_from_manifest
from webhook.state import Snapshot
from webhook.vci import SYSTEM_NAMESPACES

CASES = list(load_cases())
SKIPPED = "vci-webhook/skipped"


def test_each_case_says_something_of_its_own() -> None:
    """No two cases of a file have the same reason to be there."""
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def connection(server_thread: ServerThread) -> Iterator[Connection]:
    """One kept-alive connection for all cases, as an API server has."""
    with server_thread.connect() as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case, server_thread: ServerThread, connection: Connection) -> None:
    """The patched Pod is as the case expects, and stays so when it is sent again."""
    version = _serve(case, server_thread)
    pod = case.whole_pod()
    response = _send(case, connection, pod)
    expect = json.loads(json.dumps(case.expect).replace("$VERSION", version))
    assert response.status == expect.get("status", 200), response.body
    if response.status != 200:
        return
    after = patched(pod, response.json)
    _judge_pod(expect, after, response.json)
    _judge_answer(expect, after, response.json["response"])
    if not expect.get("twice"):
        assert operations_of(_send(case, connection, after).json) == [], "a second patch"


def _serve(case: Case, server_thread: ServerThread) -> str:
    """Give the server the case's profile and namespaces; return the profile's version."""
    profile, problems = profile_from_manifest(case.config_map(), "case")
    if "problems" in case.expect:
        _judge_texts(case.expect["problems"], [str(problem) for problem in problems])
    else:
        assert [str(problem) for problem in problems if problem.severity == "error"] == []
    namespaces = namespaces_from_manifests(case.namespaces(), "case")
    excluded = SYSTEM_NAMESPACES | {"vci-webhook"}
    server_thread.state.snapshot = Snapshot(profile, namespaces, excluded)
    return profile.version


def _send(case: Case, connection: Connection, pod: Any) -> Response:
    """Send the review of the case's Pod."""
    return connection.post(encoded(pod, **{"namespace": case.namespace, **case.request}))


def _judge_pod(expect: dict[str, Any], after: Any, answer: Any) -> None:
    """Compare the patched Pod."""
    if expect.get("unchanged"):
        assert operations_of(answer) == []
    found = differences(expect.get("pod", {}), after)
    for path, value in expect.get("exactly", {}).items():
        if value != value_at(path, after):
            found.append(f"{path}: {value_at(path, after)!r} where exactly {value!r} belongs")
    assert not found, "\n".join(found)


def _judge_answer(expect: dict[str, Any], after: Any, response: dict[str, Any]) -> None:
    """Compare what is said beside the patch."""
    audit = response.get("auditAnnotations", {})
    if "decision" in expect:
        assert audit.get("decision") == expect["decision"]
    if "rules" in expect:
        assert audit.get("rule", "").split(",") == (expect["rules"] or [""])
    if "reasons" in expect:
        skipped = json.loads(after["metadata"]["annotations"][SKIPPED])
        assert skipped["reasons"] == expect["reasons"]
    if "warnings" in expect:
        _judge_texts(expect["warnings"], response.get("warnings", []))


def _judge_texts(expected: list[str], texts: list[str]) -> None:
    """Compare texts by a part of each, in order."""
    assert len(texts) == len(expected), texts
    for part, text in zip(expected, texts, strict=True):
        assert part in text
