"""What becomes of a change of the profile's ConfigMap, and that nothing else is looked at."""

import json
from typing import Any

import pytest

from webhook.errors import ReviewError
from webhook.validation import Verdict, validate

BAD = json.dumps(
    [
        {"name": "a", "placement": "enfroce", "namespaceSelector": {"matchLabels": {"a": "b"}}},
        {"name": "b", "objectSelector": {"matchLabels": {"a": "b"}}, "efect": {}},
    ],
    indent=2,
)
UNWISE = '[{"name": "a", "objectSelector": {"matchLabels": {"a": "b"}}, "placement": "fair"}]'
GOOD = '[{"name": "a", "objectSelector": {"matchLabels": {"a": "b"}}}]'
FORCE = {"vci-webhook/force": "true"}


def config_map(selectors: str, **metadata: Any) -> dict[str, Any]:
    """Make the profile's ConfigMap."""
    metadata = {"name": "vci-profile", "namespace": "kube-system", **metadata}
    return {"metadata": metadata, "data": {"selectors": selectors}}


def review_of(written: Any, version: str = "v1", **request: Any) -> bytes:
    """Make the review of a creation; ``request`` replaces its fields."""
    fields = {
        "uid": "u1",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "operation": "CREATE",
        "namespace": "kube-system",
        "name": "vci-profile",
        "object": written,
        "oldObject": None,
        **request,
    }
    review = {
        "apiVersion": f"admission.k8s.io/{version}",
        "kind": "AdmissionReview",
        "request": fields,
    }
    return json.dumps(review).encode()


def judge(written: Any, version: str = "v1", **request: Any) -> tuple[Verdict, dict[str, Any]]:
    """Give the verdict about a change, and the response."""
    verdict = validate(review_of(written, version, **request), "kube-system", "vci-profile")
    answer = json.loads(verdict.body)
    assert answer["kind"] == "AdmissionReview"
    assert answer["apiVersion"] == f"admission.k8s.io/{version}"
    response: dict[str, Any] = answer["response"]
    assert response["allowed"] is verdict.allowed
    assert response["uid"] == verdict.uid == request.get("uid", "u1")
    return verdict, response


def updated(written: Any, before: Any) -> dict[str, Any]:
    """Give the response to an update."""
    return judge(written, operation="UPDATE", oldObject=before)[1]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_all_errors_are_named_in_one_message(version: str) -> None:
    """A bad profile is refused as Invalid, with a line for each error: place, wrong, remedy."""
    verdict, response = judge(config_map(BAD), version)
    assert response["status"].keys() == {"code", "reason", "message"}
    assert (response["status"]["code"], response["status"]["reason"]) == (422, "Invalid")
    first, *lines = response["status"]["message"].split("\n")
    assert first.startswith("2 errors in the profile; correct")
    assert 'vci-webhook/force: "true"' in first
    misspelt = 'is not one of enforce, prefer, overflow, allow, off; did you mean "enforce"?'
    assert lines == [
        f'selectors:4:18: selectors[0].placement: "enfroce" {misspelt}',
        'selectors:18:5: selectors[1].efect: unknown field; did you mean "effect"?',
    ]
    assert (verdict.errors, verdict.is_profile) == (2, True)


def test_an_update_is_judged_like_a_creation() -> None:
    """A good profile is not replaced by a bad one."""
    assert not updated(config_map(BAD), config_map(GOOD))["allowed"]
    assert updated(config_map(GOOD), config_map(BAD)) == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize("text", ["{", "{}", "- [", "x", "\ud83d\ude00"])
def test_a_text_that_is_no_list_is_refused(text: str) -> None:
    """What would make the profile invalid as a whole is an error too, with its place."""
    _, response = judge(config_map(text))
    assert not response["allowed"]
    assert "\nselectors" in response["status"]["message"]


def test_what_is_legal_but_unwise_is_a_warning() -> None:
    """Warnings do not refuse anything; kubectl shows them."""
    verdict, response = judge(config_map(UNWISE))
    (warning,) = response["warnings"]
    assert response["allowed"]
    assert '"fair" is an alias; write "allow"' in warning
    assert (verdict.errors, verdict.warnings) == (0, 1)


def test_a_refused_profile_is_warned_about_as_well() -> None:
    """Errors and warnings come in one go."""
    written = config_map(BAD)
    written["data"]["unknown"] = ""
    (warning,) = judge(written)[1]["warnings"]
    assert warning.startswith("unknown: unknown key, has no effect")


def test_a_profile_without_rules_is_accepted() -> None:
    """No data, or null, is a profile without rules; a good profile gets no word."""
    absent: list[dict[str, Any]] = [{}, {"data": None}, {"data": {}}]
    for data in absent:
        written = {"metadata": {"name": "vci-profile"}, **data}
        assert judge(written)[1]["allowed"]
    assert judge(config_map(GOOD))[1] == {"uid": "u1", "allowed": True}


def test_binary_data_is_said_to_be_unread() -> None:
    """A file that is not UTF-8 arrives as binary data, in which nobody looks."""
    written = {**config_map(GOOD), "binaryData": {"selectors": "AAAA"}}
    (warning,) = judge(written)[1]["warnings"]
    assert warning == "binaryData.selectors: not read; write text, under data"


class TestForce:
    """The administrator's own switch."""

    def test_it_lets_errors_through_and_counts_them(self) -> None:
        """Allowed, with a warning that says how much is wrong, and what."""
        verdict, response = judge(config_map(BAD, annotations=FORCE))
        assert response["allowed"]
        assert "status" not in response
        assert response["warnings"][0] == "vci-webhook/force: let through with 2 errors"
        assert "enfroce" in response["warnings"][1]
        assert verdict.errors == 2

    @pytest.mark.parametrize("value", ["false", "True", "", "yes"])
    def test_only_true_is_true(self, value: str) -> None:
        """Another value of the annotation is not meant."""
        written = config_map(BAD, annotations={"vci-webhook/force": value})
        assert not judge(written)[1]["allowed"]

    def test_a_good_profile_needs_none(self) -> None:
        """Where nothing is wrong the annotation changes nothing."""
        assert judge(config_map(GOOD, annotations=FORCE))[1] == {"uid": "u1", "allowed": True}


class TestBadBefore:
    """A profile that is bad already, written before the webhook was there, or while it was down."""

    def test_its_metadata_can_be_edited(self) -> None:
        """A label, an owner or the loss of a finalizer is never refused for what is in the data."""
        before = config_map(BAD, finalizers=["example.com/keep"])
        for written in (config_map(BAD, labels={"a": "b"}), config_map(BAD), before):
            response = updated(written, before)
            assert response["allowed"]
            told = "2 errors in the profile, as before; see vci-webhook check"
            assert response["warnings"][0] == told

    def test_the_force_annotation_can_be_taken_away(self) -> None:
        """What was forced stays, without a new reason to refuse it."""
        assert updated(config_map(BAD), config_map(BAD, annotations=FORCE))["allowed"]

    def test_other_bad_data_is_refused(self) -> None:
        """A change of the data is a change of the profile, also when it was bad."""
        written = config_map(BAD)
        written["data"]["tlsEnable"] = "true"
        assert not updated(written, config_map(BAD))["allowed"]

    def test_nothing_stands_in_the_way_of_its_end(self) -> None:
        """While it is being deleted, whatever is written lets it go."""
        written = config_map(BAD, deletionTimestamp="2024-01-01T00:00:00Z")
        assert updated(written, config_map(GOOD)) == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "DELETE", "object": None, "oldObject": config_map(BAD)},
        {"operation": "CONNECT"},
        {"operation": "SOMETHING"},
        {"name": "other"},
        {"namespace": "default"},
        {"namespace": None},
        {"kind": {"group": "", "version": "v1", "kind": "Secret"}},
        {"kind": {"group": "example.com", "version": "v1", "kind": "ConfigMap"}},
        {"subResource": "status"},
        {"object": "of any shape", "name": "other"},
        {"name": "", "object": {"metadata": {"name": "vci-profile-x7k2p"}}},
    ],
)
def test_nothing_else_is_looked_at(request_: dict[str, Any]) -> None:
    """Another object, kind, operation or subresource is allowed without a word."""
    verdict, response = judge(config_map(BAD), **request_)
    assert response == {"uid": "u1", "allowed": True}
    assert not verdict.is_profile


@pytest.mark.parametrize("name", [None, ""])
def test_a_generated_name_stands_in_the_object(name: str | None) -> None:
    """The request may lack the name that the object has."""
    assert not judge(config_map(BAD), name=name)[1]["allowed"]


def test_the_answer_is_bounded() -> None:
    """However much is wrong, message and warnings stay short, and say that there is more."""
    rules = [{"name": f"r{n}", "wrong": {}, "\u202e" * 300: 1} for n in range(2000)]
    written = config_map(json.dumps(rules))
    written["data"] |= {f"key{n}": "" for n in range(100)} | {"x" * 5000: ""}
    verdict, response = judge(written)
    lines = response["status"]["message"].split("\n")
    assert len(lines) == 102
    assert lines[-1].endswith("more; vci-webhook check names them all")
    assert all(len(line) <= 500 and line.isprintable() for line in lines)
    assert len(response["warnings"]) == 11
    assert response["warnings"][-1].endswith("more; see vci-webhook check")
    assert all(len(line) <= 120 and line.isprintable() for line in response["warnings"])
    assert verdict.errors > 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}',
        review_of(config_map(GOOD), "v2"),
        review_of(config_map(GOOD), uid=""),
        review_of(config_map(GOOD), uid=7),
        review_of(None),
        review_of([]),
        review_of({"data": {}}),
        review_of({"metadata": {}, "data": {"selectors": 1}}),
        review_of(config_map(GOOD), oldObject=[]),
        review_of(config_map(GOOD)).replace(b'"[{', b'"\\ud800[{'),
        review_of(config_map(GOOD)).replace(b'"[{', b'"\xff[{'),
    ],
)
def test_what_is_no_review_cannot_be_answered(body: bytes) -> None:
    """The sender is told, in one line that does not repeat what it sent."""
    with pytest.raises(ReviewError) as raised:
        validate(body, "kube-system", "vci-profile")
    assert raised.value.status == 400
    assert str(raised.value).isprintable()
