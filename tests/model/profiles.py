"""Generated profiles: rules of every kind, the keys of the whole cluster, now and then a fault."""

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.model import vocabulary as v
from tests.model.faults import FAULTS
from tests.model.refusals import FIRST_CLASS
from tests.model.strategies import (
    ANNOTATION_KEYS,
    ANNOTATION_VALUES,
    LABEL_KEYS,
    LABEL_VALUES,
    maybe,
    preferred_terms,
    required_terms,
    selector,
    tolerations,
)

Json = Any

_effect_fields: dict[str, st.SearchStrategy[Json]] = {
    "annotations": st.dictionaries(
        st.sampled_from(ANNOTATION_KEYS), st.sampled_from(ANNOTATION_VALUES), max_size=2
    ),
    "labels": st.dictionaries(
        st.sampled_from(("added", "example.com/added", *LABEL_KEYS, v.BURST)),
        st.sampled_from((*LABEL_VALUES, "enforce")),
        max_size=2,
    ),
    "nodeSelector": st.dictionaries(
        st.sampled_from(("disk", "zone", "kubernetes.io/os")),
        st.sampled_from(("ssd", "z1", "linux", "windows")),
        max_size=2,
    ),
    "tolerations": st.lists(tolerations(), max_size=2),
    "nodeAffinity": st.one_of(
        required_terms.map(lambda found: {v.REQUIRED: found}),
        preferred_terms.map(lambda found: {v.PREFERRED: found}),
        st.builds(
            lambda found, more: {v.REQUIRED: found, v.PREFERRED: more},
            required_terms,
            preferred_terms,
        ),
    ),
    "subnetIds": st.sampled_from((["subnet-1"], ["subnet-2", "subnet-1"])),
    "securityGroupIds": st.sampled_from((["sg-1"], ["sg-2", "sg-1"])),
    "instanceFamilies": st.sampled_from((["vci.u1"], ["vci.ini2", "vci.u1"])),
    "instanceTypes": st.sampled_from((["vci.u1.2c-4gi"], ["vci.g1v.2xlarge", "vci.u1.1c-2gi"])),
    "systemDiskGiB": st.sampled_from((40, 100, 500)),
    "kubeProxy": st.booleans(),
    "imageCache": st.booleans(),
    "resourceTags": st.dictionaries(
        st.sampled_from(("team", "app")), st.sampled_from(("x", "y")), min_size=1, max_size=2
    ),
}
_effect_names = (*_effect_fields, *5 * ("nodeAffinity",), *2 * ("tolerations", "annotations"))


@st.composite
def effects(draw: st.DrawFn) -> Json:
    """Draw a legal effect: no annotation twice."""
    names = draw(st.lists(st.sampled_from(_effect_names), max_size=4))
    effect = {name: draw(_effect_fields[name]) for name in dict.fromkeys(names)}
    for name in set(effect) & set(FIRST_CLASS):
        effect.get("annotations", {}).pop(FIRST_CLASS[name], None)
    return effect


def _some(most: int, values: dict[str, tuple[Json, ...]]) -> st.SearchStrategy[dict[str, Json]]:
    """Draw some entries of a map, each with one of its values; more likely where it has more."""
    pairs = [(key, value) for key, choices in values.items() for value in choices]
    return st.lists(st.sampled_from(pairs), max_size=most).map(dict)


_rule_options = _some(
    3,
    {
        "priority": (1, 0, -1),
        "onConflict": ("override", "override", "keep"),
        "onIncompatible": ("place", "place", "skip"),
        "final": (True, True, False),
        "mode": ("shadow", "active"),
    },
)
_placements = st.sampled_from((*v.PLACEMENTS, *v.ALIASES, *4 * ("enforce",), "alias", False))


@st.composite
def rules(draw: st.DrawFn, name: str) -> Json:
    """Draw a rule without fault; most of them match every Pod."""
    rule: dict[str, Json] = {"name": name}
    if draw(st.integers(0, 2)):
        rule["matchAll"] = True
    else:
        rule["namespaceSelector"] = draw(maybe(selector(("env", "vci"), ("true", "a"))))
        rule["objectSelector"] = draw(maybe(selector(LABEL_KEYS, LABEL_VALUES)))
        if not any((s or {}).get(f) for s in list(rule.values())[1:] for f in (s or {})):
            rule["matchAll"] = True
    placement = draw(st.one_of(st.none(), _placements))
    if placement not in (None, "alias"):
        rule["placement"] = placement
    if placement not in ("off", False, "normalNodeOnly") and draw(st.integers(0, 4)):
        rule["effect"] = draw(effects())
        if placement == "alias":
            rule["effect"].setdefault("annotations", {})[v.BURST] = "enforce"
    return {**rule, **draw(_rule_options)}


# As often as not, the keys of the managed feature stand together and place without a rule's word.
_MANAGED: tuple[dict[str, str], ...] = (
    {},
    {
        "enforceSelectorToVci": "true",
        "securityContextPrivilegedConfig": "ignore",
        "volumesHostPathConfig": "ignore",
        "dnsPolicyClusterFirstWithHostNetConfig": "clusterFirst",
        "hostIpConfig": "podIp",
    },
)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, str]:
    """Draw the data of a ConfigMap; now and then one rule of it is refused."""
    data: dict[str, str] = {**draw(_cluster_wide), **draw(st.sampled_from(_MANAGED))}
    count = draw(st.integers(1, 4))
    items = [draw(rules(f"rule-{number}")) for number in range(count)]
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, count))
        fault = draw(st.one_of(st.sampled_from(FAULTS), st.just({"name": "rule-0"})))
        items.insert(place, {"name": "faulty", "matchAll": True, **fault})
    if draw(st.integers(0, 7)):  # YAML takes much longer to read
        data["selectors"] = json.dumps(items, ensure_ascii=draw(st.booleans()))
    else:
        data["selectors"] = yaml.safe_dump(items, sort_keys=False)
    return data


def soft_profiles(effect: st.SearchStrategy[Json]) -> st.SearchStrategy[dict[str, str]]:
    """Draw profiles whose rules match every Pod and place none with ``enforce``."""
    placements = st.sampled_from(("allow", "prefer", "overflow"))
    rule = st.fixed_dictionaries(
        {"matchAll": st.sampled_from((True,)), "placement": placements, "effect": effect}
    )
    return st.lists(rule, min_size=1, max_size=3).map(
        lambda items: {
            "selectors": json.dumps(
                [{"name": f"rule-{number}", **item} for number, item in enumerate(items)]
            )
        }
    )


@st.composite
def lifting_profiles(draw: st.DrawFn) -> dict[str, str]:
    """Draw profiles of one rule that matches every Pod, mostly with all that can be lifted."""
    rule = {"name": "rule", "matchAll": True, **draw(_rule_options), "mode": "active"}
    rule["placement"] = draw(st.sampled_from(("enforce", "enforce", "enforce", *v.PLACEMENTS)))
    keys = draw(st.sampled_from((*_MANAGED, _MANAGED[-1])))
    return {**keys, "selectors": json.dumps([rule])}


_label_selectors = st.one_of(
    st.just({"matchAll": True}),
    selector(("env", "vci"), ("true", "a")).map(lambda found: {"namespaceSelector": found}),
    selector(LABEL_KEYS, LABEL_VALUES).map(lambda found: {"objectSelector": found}),
    st.builds(
        lambda one, other: {"namespaceSelector": one, "objectSelector": other},
        selector(("env", "vci"), ("true", "a")),
        selector(LABEL_KEYS, LABEL_VALUES),
    ),
)
many_rules = st.lists(_label_selectors, min_size=1, max_size=20).map(
    lambda found: {
        "selectors": json.dumps(
            [
                {"name": f"rule-{number}", "priority": number % 3, **selectors}
                for number, selectors in enumerate(found)
            ]
        )
    }
)
required_effects = st.one_of(
    st.just({}),
    required_terms.map(lambda found: {"nodeAffinity": {v.REQUIRED: found}}),
    required_terms.map(lambda found: {"nodeAffinity": {v.REQUIRED: found}}),
)
toleration_effects = st.lists(tolerations(), max_size=3).map(lambda found: {"tolerations": found})

_cluster_wide = _some(
    6,
    {
        "preferredSubnetIds": ("subnet-1", " subnet-1 ,subnet-2", ""),
        "tlsEnable": ("true", "false", "yes"),
        "enforceSelectorToVci": ("true", "false", "True"),
        "securityContextPrivilegedConfig": ("ignore", "refuse"),
        "volumesHostPathConfig": ("ignore", "refuse"),
        "dnsPolicyClusterFirstWithHostNetConfig": ("clusterFirst", "ignore"),
        "securityGroupIds": ("sg-1, sg-2",),
        "preferredInstanceFamily": ("vci.u1", "vci.ini2 ,vci.u1"),
        "preferredInstanceTypes": ("vci.u1.2c-4gi",),
        "clusterType": ("vke", "selfBuilt", "selfBuilt", "other"),
        "virtualNodeLabel": ("disk=ssd", "example.com/virtual=yes", "nonsense", "type="),
        "virtualNodeTaint": (
            "dedicated=a:NoSchedule",
            "dedicated:NoExecute",
            "dedicated=a",
            "dedicated=a:Never",
        ),
        "pinToVirtualNode": ("false", "false", "no"),
        "someUnknownKey": ("x",),
    },
)
