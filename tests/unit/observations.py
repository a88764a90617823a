"""What a doctor sees of a good cluster, made with real certificates; tests break it."""

import datetime as dt
import json
from dataclasses import replace
from functools import cache
from typing import Any

from certs.issue import Pair, issue_ca, issue_serving
from certs.names import Names as CertificateNames
from webhook.diagnosis import diagnose
from webhook.findings import Row
from webhook.labels import Requirement, Selector
from webhook.observed import (
    Configuration,
    Endpoint,
    Entry,
    LiveProfile,
    Mode,
    Mount,
    Names,
    Observed,
    Presented,
    Program,
    Secret,
    Service,
)
from webhook.profile import parse_profile

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAMES = Names()
SERVICE = (NAMES.namespace, NAMES.service)
LABELLED = {"vci": "true"}
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"


@cache
def authority(age: dt.timedelta = 60 * DAY) -> Pair:
    """Make a CA of some age, the same one each time."""
    return issue_ca(NOW - age)


FOREIGN = issue_ca(NOW - DAY)


@cache
def pair(ca: Pair, host: str = NAMES.host, issued: dt.datetime = NOW) -> Pair:
    """Make a pair for a host, the same one each time."""
    return issue_serving(ca, CertificateNames((host,)), issued)


def files(serving: Pair, ca: Pair) -> dict[str, bytes]:
    """Make what stands in the Secret and in its volume."""
    return {"tls.crt": serving.certificate, "tls.key": serving.key, "ca.crt": ca.certificate}


def live_profile(*rules: dict[str, Any]) -> LiveProfile:
    """Make a profile; without rules, one that acts on labelled namespaces."""
    usual = [{"name": "workflows", "namespaceSelector": {"matchLabels": LABELLED}}]
    profile, problems = parse_profile({"selectors": json.dumps(list(rules) or usual)}, "1")
    return LiveProfile(profile, tuple(problems))


def configuration(kind: Any, ca: Pair, **entry: Any) -> Configuration:
    """Make a configuration that is as it should be, but for some fields of its one entry."""
    mutating = kind == MUTATING
    selector = (
        Selector((Requirement("vci", "In", frozenset({"true"})),)) if mutating else Selector()
    )
    usual = Entry(
        "x.vci-webhook.test",
        ca.certificate,
        SERVICE,
        path="/mutate" if mutating else "/validate",
        failure_policy="Ignore",
        selector=selector,
        operations=frozenset({"CREATE"} if mutating else {"CREATE", "UPDATE"}),
    )
    return Configuration(kind, "vci-webhook", (replace(usual, **entry),))


def good(mode: Mode = "self", **changed: Any) -> Observed:
    """Make what is seen of a cluster where nothing is wrong, but for what is changed."""
    ca = authority()
    serving = pair(ca)
    issuer = {"cert-manager.io/certificate-name": "serving"} if mode == "certManager" else {}
    seen = Observed(
        NOW,
        api_server="v1.37.2",
        ahead_seconds=0.1,
        mutating=configuration(MUTATING, ca),
        validating=configuration(VALIDATING, ca),
        ca=Secret({"ca.crt": ca.certificate}) if mode == "self" else None,
        tls=Secret(files(serving, ca), issuer),
        mount=Mount("/etc/vci-webhook/tls", files(serving, ca)),
        presented=(Presented("10.0.0.7:8443", serving.certificate),),
        program=Program(1, 1) if mode == "self" else None,
        service=Service({443: "https"}, {"app": "vci-webhook"}),
        endpoints=(Endpoint("10.0.0.7", 8443, ready=True),),
        namespaces={"kube-system": {}, "vci-webhook": {}, "batch": LABELLED},
        profile=live_profile(),
    )
    return replace(seen, **changed)


def judged(observed: Observed, mode: Mode | None = None) -> list[Row]:
    """Give the rows."""
    return list(diagnose(observed, mode).rows)


def wrong(observed: Observed, mode: Mode | None = None) -> list[Row]:
    """Give the rows that are about something wrong."""
    return [row for row in judged(observed, mode) if row.severity in ("warning", "error")]
