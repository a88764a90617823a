"""What generated Pods and profiles are made of; few names and values, so that they collide."""

from typing import Any

from hypothesis import strategies as st

from tests.model import vocabulary as v
from tests.model.refusals import FIRST_CLASS

Json = Any

LABEL_KEYS = ("app", "tier", "example.com/team")
LABEL_VALUES = ("a", "b", "")
NODE_NAMES = ("node-1", "node-2")
TAINT_KEYS = ("dedicated", "vci.vke.volcengine.com/node-type", "example.com/gpu")
TAINT_VALUES = ("vci", "a", "")
ANNOTATION_KEYS = ("example.com/note", "plain", *FIRST_CLASS.values(), v.FAMILY, v.TLS)
ANNOTATION_VALUES = ("a", "b", "", 'quote " and \\', "\u6c49\u5b57 \U0001f600\n\t", "true")

namespaces = st.sampled_from((*8 * ("argo",), *3 * ("team-a",), "kube-system"))
_namespace_labels = st.dictionaries(
    st.sampled_from(("env", "vci")), st.sampled_from(("true", "a")), max_size=2
)
namespace_labels = st.one_of(
    *5 * (_namespace_labels,), st.sampled_from(({v.INJECT: "false"}, {v.INJECT: "true"}))
)


pod_labels = st.dictionaries(st.sampled_from(LABEL_KEYS), st.sampled_from(LABEL_VALUES), max_size=3)


def maybe(strategy: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Give a value, or an empty one of either kind."""
    return st.one_of(strategy, strategy, st.sampled_from((None, {})))


# Selectors of rules.


def selector(keys: tuple[str, ...], values: tuple[str, ...]) -> st.SearchStrategy[Json]:
    some_key, some_values = st.sampled_from(keys), st.lists(st.sampled_from(values), min_size=1)
    expression = st.one_of(
        st.fixed_dictionaries(
            {"key": some_key, "operator": st.sampled_from(("In", "NotIn")), "values": some_values}
        ),
        st.fixed_dictionaries(
            {"key": some_key, "operator": st.sampled_from(("Exists", "DoesNotExist"))}
        ),
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "matchLabels": st.dictionaries(some_key, st.sampled_from(values), max_size=1),
            "matchExpressions": st.lists(expression, max_size=2),
        },
    )


# Node affinity, of rules and of Pods.

_expressions = (
    {"key": "disk", "operator": "In", "values": ["ssd"]},
    {"key": "disk", "operator": "In", "values": ["ssd", "hdd"]},
    {"key": "disk", "operator": "In", "values": ["hdd", "ssd"]},
    {"key": "disk", "operator": "NotIn", "values": ["hdd"]},
    {"key": "disk", "operator": "DoesNotExist"},
    {"key": "zone", "operator": "Exists"},
    {"key": "zone", "operator": "In", "values": ["z1"]},
    {"key": "cores", "operator": "Gt", "values": ["4"]},
    {"key": "cores", "operator": "Lt", "values": ["16"]},
    {"key": "type", "operator": "In", "values": ["virtual-kubelet"]},
    {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
    {"key": "type", "operator": "DoesNotExist"},
    {"key": "type", "operator": "Exists"},
    {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node-1"]},
)
_fields = (
    {"key": "metadata.name", "operator": "In", "values": ["node-1"]},
    {"key": "metadata.name", "operator": "NotIn", "values": ["node-2"]},
)
expression_lists = st.lists(st.sampled_from(_expressions), min_size=1, max_size=2)
terms = st.one_of(
    st.builds(lambda e: {"matchExpressions": e}, expression_lists),
    st.builds(lambda e: {"matchExpressions": e}, expression_lists),
    st.builds(
        lambda e, f: {"matchExpressions": e, "matchFields": [f]},
        expression_lists,
        st.sampled_from(_fields),
    ),
    st.builds(lambda f: {"matchFields": [f]}, st.sampled_from(_fields)),
)
required_terms = st.lists(terms, min_size=1, max_size=3).map(
    lambda found: {"nodeSelectorTerms": found}
)
preferred_terms = st.lists(
    st.fixed_dictionaries({"weight": st.sampled_from((1, 100)), "preference": terms}), max_size=2
)

nodes = st.builds(
    lambda name, labels: {"metadata": {"name": name, "labels": labels}},
    st.sampled_from(NODE_NAMES),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(("virtual-kubelet", "real")),
            "disk": st.sampled_from(("ssd", "hdd", "")),
            "zone": st.sampled_from(("z1", "z2")),
            "cores": st.sampled_from(("2", "8", "32", "many")),
            "kubernetes.io/os": st.sampled_from(("linux", "windows")),
            "kubernetes.io/hostname": st.sampled_from(NODE_NAMES),
        },
    ),
)

# Tolerations, of rules and of Pods.


@st.composite
def tolerations(draw: st.DrawFn) -> Json:
    """Draw a legal toleration: no key only with Exists, a time only with NoExecute."""
    found: dict[str, Json] = {}
    key = draw(st.sampled_from((*TAINT_KEYS, "")))
    operator = draw(st.sampled_from(("Equal", "Exists", ""))) if key else "Exists"
    effect = draw(st.sampled_from((*v.TAINT_EFFECTS, "NoExecute", "")))
    if key:
        found["key"] = key
    if operator:
        found["operator"] = operator
    if operator != "Exists" and (value := draw(st.sampled_from(TAINT_VALUES))):
        found["value"] = value
    if effect:
        found["effect"] = effect
    if effect == "NoExecute" and draw(st.booleans()):
        found["tolerationSeconds"] = draw(st.sampled_from((-1, 0, 30, 300)))
    return found


TAINTS = [
    {"key": key, "value": value, "effect": effect}
    for key in (*TAINT_KEYS, "other")
    for value in TAINT_VALUES
    for effect in v.TAINT_EFFECTS
]
SECONDS = (0, 30, 300, float("inf"))
