"""Rules at Kubernetes' limits: the longest keys and values, every toleration, many terms."""

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.cluster.features import LONG_KEY, LONG_NAME, LONG_PREFIX
from tests.model import vocabulary as v
from tests.model.profiles import profiles

Object = dict[str, Any]

INT64 = ("9223372036854775807", "0")
TEXTS = ("", "\u0000\u007f\u2028\ufeff\ufffe", '{"op":"remove"}', "~1/~0", "\U0001f600")
SIZES = (1_000, 60_000, 130_000, 200_000)
LETTERS = ("x", '"', "\u6c49", "\U0001f600")
TERM_COUNTS = (1, 2, 3, 4, 16, 128, 255, 256)
WEIGHTS = (1, 2, 50, 99, 100)

# Node affinity.

_values = st.sampled_from((1, 2, 50)).map(lambda n: [f"{i:03}{'v' * 60}" for i in range(n)])
_expression: st.SearchStrategy[Object] = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from((LONG_KEY, LONG_NAME, "zone")),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": _values,
        }
    ),
    st.fixed_dictionaries(
        {
            "key": st.just("cores"),
            "operator": st.sampled_from(("Gt", "Lt")),
            "values": st.sampled_from(INT64).map(lambda value: [value]),
        }
    ),
    st.sampled_from(
        (
            {"key": "zone", "operator": "In", "values": [""]},
            {"key": LONG_KEY, "operator": "DoesNotExist"},
        )
    ),
)
_node_name = st.fixed_dictionaries(
    {
        "key": st.just("metadata.name"),
        "operator": st.sampled_from(("In", "NotIn")),
        "values": st.sampled_from(([LONG_PREFIX], ["node-1"])),
    }
)
_term = st.fixed_dictionaries(
    {"matchExpressions": st.lists(_expression, min_size=1, max_size=3)},
    optional={"matchFields": st.lists(_node_name, min_size=1, max_size=1)},
)


def ranked(term: Object, count: int) -> list[Object]:
    """Return a term that many times, each with an expression that no other has."""
    return [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), _rank(number)]}
        for number in range(count)
    ]


def _rank(number: int) -> Object:
    return {"key": "rank", "operator": "In", "values": [str(number)]}


def required(terms: list[Object]) -> Object:
    """Return a node affinity that requires one of these terms."""
    return {v.REQUIRED: {"nodeSelectorTerms": terms}}


def _preferred(terms: list[Object]) -> Object:
    weighted = zip(WEIGHTS, terms, strict=False)
    return {v.PREFERRED: [{"weight": weight, "preference": term} for weight, term in weighted]}


# Tolerations.


def _tolerations() -> list[Object]:
    found: list[Object] = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -1}]
    for effect in ("", *v.TAINT_EFFECTS):
        found += [
            {"key": LONG_KEY, "operator": "Exists", "effect": effect},
            {"key": LONG_KEY, "operator": "Equal", "value": "v" * 63, "effect": effect},
            {"key": "dedicated", "value": "", "effect": effect},
            {"key": "dedicated", "effect": effect},
        ]
    for seconds in (-(2**63), -1, 0, 1, 2**63 - 1):
        kind = {"key": f"for{len(found)}", "operator": "Exists", "effect": "NoExecute"}
        found.append({**kind, "tolerationSeconds": seconds})
    return found


TOLERATIONS = _tolerations()  # one of each kind

# Annotations, labels and the rest.

INTERPRETED = {  # somebody reads these, and none of the values is one to expect
    "kubectl.kubernetes.io/default-container": "nowhere",
    "controller.kubernetes.io/pod-deletion-cost": "-2147483648",
    "kubernetes.io/config.source": "file",
    "kubernetes.io/config.hash": "",
    "kubernetes.io/limit-ranger": "nothing",
    "kubernetes.io/psp": "no/such",
}
_annotations = st.one_of(
    st.just(INTERPRETED),
    st.sampled_from(TEXTS).map(lambda text: {LONG_KEY: text, "Mixed.Case": text, "\u212aey": text}),
    st.builds(
        lambda size, letter: {"big": letter * (size // len(letter.encode()))},
        st.sampled_from(SIZES),
        st.sampled_from(LETTERS),
    ),
)
_effect_fields: dict[str, st.SearchStrategy[Any]] = {
    "annotations": _annotations,
    "labels": st.sampled_from(
        ({LONG_KEY: "a" * 63}, {f"l{number}": "b" * 63 for number in range(100)}, {"empty": ""})
    ),
    "nodeSelector": st.sampled_from(({LONG_KEY: "a" * 63}, {LONG_NAME: ""}, {"a": "1", "b": "2"})),
    "tolerations": st.lists(st.sampled_from(TOLERATIONS), min_size=1, max_size=12),
    "nodeAffinity": st.one_of(
        st.builds(ranked, _term, st.sampled_from(TERM_COUNTS)).map(required),
        st.lists(_term, min_size=1, max_size=5).map(_preferred),
    ),
    "subnetIds": st.just([f"subnet-{number}" for number in range(200)]),
    "instanceFamilies": st.just(["vci.u1", "vci.\u6c49"]),
    "resourceTags": st.just({"k" * 100: "v:" * 100, "\u6c49": ""}),
}
_effects = st.lists(
    st.sampled_from([*_effect_fields]), min_size=1, max_size=4, unique=True
).flatmap(lambda names: st.fixed_dictionaries({name: _effect_fields[name] for name in names}))
_rule = st.fixed_dictionaries(
    {
        "name": st.sampled_from(("r" * 63, "s" * 63)),
        "matchAll": st.just(value=True),
        "priority": st.sampled_from((-1, 1)),
        "placement": st.sampled_from(("enforce", "prefer", "overflow", "allow")),
        "onConflict": st.sampled_from(("keep", "override")),
        "effect": _effects,
    }
)
_long_keys = st.sampled_from(
    (
        {},
        {"virtualNodeLabel": f"{LONG_KEY}={'v' * 63}"},
        {"virtualNodeTaint": f"{LONG_KEY}={'v' * 63}:NoExecute"},
        {"preferredSubnetIds": ",".join(f"subnet-{number}" for number in range(1000))},
    )
)


IGNORE = {
    "securityContextPrivilegedConfig": "ignore",
    "volumesHostPathConfig": "ignore",
    "dnsPolicyClusterFirstWithHostNetConfig": "clusterFirst",
}
_placing_rule = st.fixed_dictionaries(
    {
        "name": st.just("places"),
        "matchAll": st.just(value=True),
        "priority": st.just(2),
        "placement": st.sampled_from(("enforce", "prefer", *v.PLACEMENTS)),
        "onIncompatible": st.sampled_from(("place", "place", "skip")),
    }
)


@st.composite
def any_profiles(draw: st.DrawFn) -> dict[str, str]:
    """Draw a profile: the model's rules, often one at a limit, often one that places every Pod."""
    data = dict(draw(profiles()))
    items = yaml.safe_load(data["selectors"])
    if draw(st.booleans()):
        data.update(draw(_long_keys))
        items += draw(st.lists(_rule, min_size=1, max_size=2))
    if draw(st.integers(0, 2)):
        data.update(draw(st.sampled_from(({}, IGNORE))))
        items.append(draw(_placing_rule))
    data["selectors"] = json.dumps(items)
    return data
