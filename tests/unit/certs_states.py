"""Every state that a cluster can be found in: objects absent, damaged, old, from somewhere else."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import strategies as st

from certs.issue import Pair, Span, issue_ca, issue_serving
from certs.names import Names
from certs.observed import Configuration, Observed, Secret
from tests.unit.certs_world import MUTATING, PARAMETERS, START, VALIDATING, parse

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RUBBISH = [b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n"]
OTHERS = Names(("another.vci-webhook.svc",))


@dataclass(frozen=True)
class Line:
    """A CA and what it signed."""

    ca: Pair
    leaves: tuple[Pair, ...]


def _line(issued: datetime, lifetime: timedelta = PARAMETERS.ca_lifetime) -> Line:
    """Make a CA and, where it can sign, leaves that are new, due, over, and for other names."""
    ca = issue_ca(issued, Span(lifetime))
    if not parse(ca.certificate)[0].not_valid_before_utc <= START < issued + lifetime:
        return Line(ca, ())
    age = min(START - issued, 40 * DAY)
    moments = {max(START - each, issued) for each in (timedelta(), 25 * DAY, age)}
    leaves = [issue_serving(ca, PARAMETERS.names, moment) for moment in sorted(moments)]
    return Line(ca, (*leaves, issue_serving(ca, OTHERS, START)))


LINES = (
    _line(START),
    _line(START - 10 * DAY),
    _line(START - 100 * DAY),
    _line(START - 600 * DAY),  # to be replaced
    _line(START - 729 * DAY),  # valid for one more day
    _line(START - 800 * DAY),  # over
    _line(START + 3 * HOUR),  # to come
)
CAS = [line.ca for line in LINES]
LEAVES = [leaf for line in LINES for leaf in line.leaves]
CERTIFICATES = [each.certificate for each in CAS]
KEYS = [each.key for each in (*CAS, *LEAVES[:2])]

_contents = st.sampled_from([*CERTIFICATES, *(leaf.certificate for leaf in LEAVES[:2]), *RUBBISH])
_bundles = st.one_of(
    st.just(b""),
    st.lists(_contents, max_size=4).map(b"".join),
    st.lists(st.sampled_from(CERTIFICATES[:4]), max_size=3, unique=True).map(b"".join),
)
_pairs = st.one_of(
    st.sampled_from(CAS),
    st.sampled_from(CAS),
    st.builds(Pair, _contents, st.sampled_from([*KEYS, *RUBBISH])),
)


@st.composite
def _times(draw: st.DrawFn) -> str:
    """An annotation as it is written, with times before and after now; or something else."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["", "[]", "{", '{"a": 1}', '{"a": "9999-99-99"}']))
    hashes = st.sampled_from([_fingerprint(each) for each in CERTIFICATES])
    minutes = st.sampled_from([-60 * 24 * 40, -60 * 24, -90, -2, 0, 1, 90, 60 * 24 * 400])
    moments = minutes.map(lambda each: f"{START + timedelta(minutes=each):%Y-%m-%dT%H:%M:%SZ}")
    return json.dumps(draw(st.dictionaries(hashes, moments, max_size=4)))


def _fingerprint(certificate: bytes) -> str:
    return parse(certificate)[0].fingerprint(SHA256()).hex()[:16]


def _is_valid(leaf: Pair) -> bool:
    return parse(leaf.certificate)[0].not_valid_after_utc > START


@st.composite
def _ca_secrets(draw: st.DrawFn) -> Secret | None:
    if draw(st.integers(0, 3)) == 0:
        return None
    data: dict[str, bytes] = {}
    for name in ("tls", "next"):
        if pair := draw(st.none() | _pairs):
            data |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}
    keyed = b"".join(content for key, content in data.items() if key.endswith(".crt"))
    data["ca.crt"] = draw(st.just(keyed) | _bundles.map(lambda each: keyed + each) | _bundles)
    for name in draw(st.sets(st.sampled_from(sorted(data)), max_size=1)):
        del data[name]
    annotations = draw(
        st.dictionaries(
            st.sampled_from(["vci-webhook/seen-since", "vci-webhook/kept-until", "a/b"]), _times()
        )
    )
    kind = draw(st.sampled_from(["Opaque", "Opaque", "kubernetes.io/tls"]))
    return Secret("a", kind, data, annotations, draw(st.integers(0, 9)) == 0)


@st.composite
def _serving_secrets(draw: st.DrawFn) -> Secret | None:
    if draw(st.integers(0, 3)) == 0:
        return None
    line = draw(st.sampled_from([line for line in LINES if line.leaves]))
    leaf = draw(st.sampled_from(line.leaves))
    data = {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": line.ca.certificate}
    for name in draw(st.sets(st.sampled_from(sorted(data)), max_size=1)):
        data[name] = draw(_contents)
    kind = draw(st.sampled_from(["kubernetes.io/tls", "kubernetes.io/tls", "Opaque"]))
    return Secret("b", kind, data, {}, draw(st.integers(0, 9)) == 0)


def _configurations(version: str) -> st.SearchStrategy[Configuration | None]:
    there = st.builds(
        Configuration,
        st.just(version),
        st.lists(_bundles, min_size=1, max_size=2).map(tuple),
    )
    return st.none() | there | there


@st.composite
def states(draw: st.DrawFn) -> Observed:
    """Draw each object by itself, so that no two need fit together."""
    return Observed(
        draw(_ca_secrets()),
        draw(_serving_secrets()),
        {MUTATING: draw(_configurations("c")), VALIDATING: draw(_configurations("d"))},
    )


@st.composite
def working_states(draw: st.DrawFn) -> Observed:
    """Draw states in which every API server can verify every server, whatever else is wrong."""
    line = draw(st.sampled_from(LINES[:5]))
    leaf = draw(st.sampled_from([each for each in line.leaves[:-1] if _is_valid(each)]))
    data = {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": line.ca.certificate}
    data["ca.crt"] = draw(st.just(data["ca.crt"]) | _contents)
    bundles = _bundles.map(lambda each: line.ca.certificate + each)
    found = [
        Configuration(version, draw(st.lists(bundles, min_size=1, max_size=2).map(tuple)))
        for version in ("c", "d")
    ]
    serving = Secret("b", "kubernetes.io/tls", data)
    return Observed(
        draw(_ca_secrets()), serving, dict(zip((MUTATING, VALIDATING), found, strict=True))
    )
