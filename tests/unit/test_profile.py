"""The data of a ConfigMap becomes a profile; whatever is wrong with it is named, all at once."""

import json
from time import process_time

import pytest

from tests.unit.profiles import assert_one, read
from webhook import vci
from webhook.defaults import DEFAULT_KEYS, Defaults, VirtualNode
from webhook.problems import PROBLEMS_LIMIT, Problem
from webhook.profile import Profile, parse_profile

RULE = "[{name: r, matchAll: true}]"


def accepted(**data: str) -> Defaults:
    """Give the cluster-wide values of a profile without any problem."""
    profile, problems = read({"selectors": RULE, **data})
    assert problems == []
    assert profile is not None
    return profile.defaults


def warned(**data: str) -> list[Problem]:
    """Give the warnings of a profile whose cluster-wide values are the default ones."""
    profile, problems = read({"selectors": RULE, **data})
    assert profile is not None
    assert profile.defaults == Defaults()
    assert len(profile.rules) == 1
    return problems


def test_the_defaults_are_the_documented_ones() -> None:
    """Soft placement, the virtual nodes of VKE, pinned, and nothing lifted or added."""
    defaults = accepted()
    assert defaults == Defaults()
    assert (defaults.placement, defaults.pin, defaults.self_built) == ("allow", True, False)
    assert defaults.annotations == {}
    assert defaults.virtual_node.label == ("type", "virtual-kubelet")
    assert defaults.virtual_node.toleration == {
        "key": "vci.vke.volcengine.com/node-type",
        "operator": "Equal",
        "value": "vci",
        "effect": "NoSchedule",
    }


LISTS = {
    "preferredSubnetIds": (" subnet-a , subnet-b,", vci.SUBNETS, "subnet-a,subnet-b"),
    "securityGroupIds": ("sg-1, sg-2", vci.SECURITY_GROUPS, "sg-1,sg-2"),
    "preferredInstanceFamily": ("vci.u1,vci.n3i", vci.FAMILIES, "vci.u1,vci.n3i"),
    "preferredInstanceTypes": ("vci.u1.2c-4gi", vci.TYPES, "vci.u1.2c-4gi"),
}


@pytest.mark.parametrize(("key", "case"), LISTS.items(), ids=LISTS)
def test_a_list_becomes_an_annotation(key: str, case: tuple[str, str, str]) -> None:
    """Blanks around the commas do not matter."""
    written, annotation, value = case
    assert accepted(**{key: written}).annotations == {annotation: value}


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_list_has_no_effect(text: str) -> None:
    """And is reported."""
    problems = warned(preferredSubnetIds=text)
    assert_one(problems, "warning", "preferredSubnetIds", "an empty list, has no effect", "remove")


def test_an_unusual_id_is_reported_and_kept() -> None:
    """Vendors name things differently now and then."""
    profile, problems = read({"selectors": RULE, "preferredInstanceFamily": "vci.u1, u2"})
    assert_one(problems, "warning", "preferredInstanceFamily", '"u2" does not look like a VCI inst')
    assert profile is not None
    assert profile.defaults.annotations == {vci.FAMILIES: "vci.u1,u2"}


def test_switches_are_read() -> None:
    """Each of the two values means itself."""
    assert accepted(tlsEnable="true").annotations == {vci.TLS_ENABLE: "true"}
    assert accepted(tlsEnable="false").annotations == {}
    assert accepted(enforceSelectorToVci="true").placement == "enforce"
    assert accepted(enforceSelectorToVci="false").placement == "allow"
    assert accepted(securityContextPrivilegedConfig="ignore").ignore_privileged
    assert accepted(volumesHostPathConfig="ignore").ignore_host_path
    assert accepted(dnsPolicyClusterFirstWithHostNetConfig="clusterFirst").cluster_first
    assert accepted(clusterType="selfBuilt").self_built
    assert not accepted(clusterType="vke").self_built
    assert not accepted(pinToVirtualNode="false").pin
    assert accepted(pinToVirtualNode="true").pin


WRONG = {
    "tlsEnable": ("True", 'is not "true" or "false", has no effect; did you mean "true"?'),
    "enforceSelectorToVci": ("yes", 'is not "true" or "false", has no effect; write that'),
    "securityContextPrivilegedConfig": ("ignroe", 'did you mean "ignore"?'),
    "volumesHostPathConfig": ("", 'is not "ignore", has no effect; write that'),
    "dnsPolicyClusterFirstWithHostNetConfig": ("ClusterFirst", 'did you mean "clusterFirst"?'),
    "hostIpConfig": ("hostIp", 'is not "podIp", has no effect'),
    "clusterType": ("self-built", 'did you mean "selfBuilt"?'),
    "pinToVirtualNode": ("0", 'is not "true" or "false", has no effect; write that'),
    "virtualNodeLabel": ("type", "is not key=value, has no effect; write a node label"),
    "virtualNodeTaint": ("a=b", "is not key=value:Effect or key:Effect, has no effect; write"),
}


@pytest.mark.parametrize(("key", "case"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_of_a_known_key_has_no_effect(key: str, case: tuple[str, str]) -> None:
    """The profile is accepted all the same, and the problem says what could stand there."""
    value, words = case
    assert_one(warned(**{key: value}), "warning", key, f'"{value}" is not ', words)


def test_host_ip_cannot_be_honoured() -> None:
    """It lives in the status of a Pod, where admission cannot set it."""
    assert_one(warned(hostIpConfig="podIp"), "warning", "hostIpConfig", "a Pod's status", "remove")


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("tlsEnabel", '; did you mean "tlsEnable"?'),
        ("selector", '; did you mean "selectors"?'),
        ("preferredsubnetids", '; did you mean "preferredSubnetIds"?'),
        ("zzz", "; remove it"),
    ],
)
def test_an_unknown_key_has_no_effect(key: str, near: str) -> None:
    """The nearest known name is told."""
    assert_one(warned(**{key: "x"}), "warning", key, f"unknown key, has no effect{near}")


@pytest.mark.parametrize("text", ["kind=virtual", " kind=virtual\n", "a.b/c="])
def test_virtual_nodes_may_have_another_label(text: str) -> None:
    """Any legal label."""
    key, _, value = text.strip().partition("=")
    assert accepted(virtualNodeLabel=text).virtual_node.label == (key, value)


@pytest.mark.parametrize("text", ["=a", "a b=c", "a=b c", "a=b=c", ""])
def test_an_illegal_label_of_virtual_nodes_has_no_effect(text: str) -> None:
    """One illegal nodeSelector would make the API server refuse every Pod."""
    assert_one(warned(virtualNodeLabel=text), "warning", "virtualNodeLabel", "is not key=value")


TAINTS = {
    "a=b:NoSchedule": {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"},
    "a/b=:NoExecute": {"key": "a/b", "operator": "Equal", "value": "", "effect": "NoExecute"},
    " a:PreferNoSchedule ": {"key": "a", "operator": "Exists", "effect": "PreferNoSchedule"},
}


@pytest.mark.parametrize(("text", "toleration"), TAINTS.items(), ids=TAINTS)
def test_virtual_nodes_may_have_another_taint(text: str, toleration: dict[str, str]) -> None:
    """With a value it is tolerated by Equal, without by Exists."""
    assert accepted(virtualNodeTaint=text).virtual_node == VirtualNode(toleration=toleration)


@pytest.mark.parametrize(
    "text", ["", "a", "a:noschedule", ":NoSchedule", "a b:NoSchedule", "a=b c:NoSchedule"]
)
def test_an_illegal_taint_of_virtual_nodes_has_no_effect(text: str) -> None:
    """One illegal toleration would make the API server refuse every Pod."""
    assert_one(warned(virtualNodeTaint=text), "warning", "virtualNodeTaint", "one of NoSchedule,")


INVALID = {
    "mapping": ("{name: r}", 1, 1, "a mapping where a list belongs; write"),
    "text": ("r", 1, 1, 'a string "r" where a list belongs; write'),
    "number": (" 5", 1, 2, 'an integer "5" where a list belongs; write'),
    "tag": ("!!python/tuple [a]", 1, 1, "has no meaning here; remove it"),
    "two lists": (f"{RULE}\n---\n{RULE}", 3, 1, "more than one document; keep one list"),
    "no YAML": ("- name: a\n\tb: c", 2, 1, "neither JSON nor YAML: a tab"),
    "cut off": ('[{"name": "r",', 1, 15, "neither JSON nor YAML: did not find expected node"),
    "nested": ("[" * 100_000, 1, 1001, "nested deeper than 64 levels; flatten it"),
    "many": ("[" + "1," * 300_000 + "]", 1, 600_000, "more than 300,000 values"),
    "surrogate": ('["\ud83d"]', 1, 3, "half of a character (a lone surrogate)"),
    "escaped surrogate": ('["\\ud83d"]', 0, 0, "alone is half of a character"),
}


@pytest.mark.parametrize(("text", "line", "column", "words"), INVALID.values(), ids=INVALID)
def test_only_selectors_make_a_profile_invalid(
    text: str, line: int, column: int, words: str
) -> None:
    """What is no list of rules is one error with its position, and the profile is none."""
    profile, problems = read({"selectors": text, "tlsEnable": "maybe"})
    assert profile is None
    other, problem = sorted(problems, key=lambda one: one.severity, reverse=True)
    assert other.path == "tlsEnable"
    assert_one([problem], "error", "selectors", words)
    assert (problem.line, problem.column) == (line, column)


@pytest.mark.parametrize("text", [None, "", " \n", "# none", "[]", "---\n---\n"])
def test_without_rules_a_profile_is_valid_and_does_nothing(text: str | None) -> None:
    """That is said: whoever forgot the rules waits for Pods that never come."""
    profile, problems = read({} if text is None else {"selectors": text})
    assert profile is not None
    assert profile.rules == ()
    assert_one(problems, "warning", "selectors", "no rules, so no Pod is touched; add one")


def test_json_and_yaml_are_the_same_rules() -> None:
    """The rules may be written in either."""
    as_json, problems = read({"selectors": '[{"name": "r", "matchAll": true, "priority": 5}]'})
    as_yaml, _ = read({"selectors": "- name: r\n  matchAll: true\n  priority: 5\n"})
    assert problems == []
    assert as_json is not None
    assert as_yaml is not None
    assert as_json.rules == as_yaml.rules


def test_rules_are_evaluated_by_priority_then_list() -> None:
    """Higher first; equal priorities keep the order of the list."""
    text = "[{name: a, matchAll: true}, {name: b, matchAll: true, priority: 5, placement: allow}, "
    text += "{name: c, matchAll: true, priority: -1}, {name: d, matchAll: true, priority: 5}]"
    profile, _ = read({"selectors": text})
    assert profile is not None
    assert [rule.name for rule in profile.rules] == ["b", "d", "a", "c"]


def test_one_bad_rule_leaves_the_others() -> None:
    """It is left out, and each problem has path, line and column."""
    rules = ["- name: a\n  matchAll: true", "- name: b\n  zzz: 1", "- name: c\n  matchAll: on"]
    profile, problems = read({"selectors": "\n".join([*rules, "  placement: prefer"])})
    assert profile is not None
    assert [rule.name for rule in profile.rules] == ["a", "c"]
    assert [(p.severity, p.path, p.line, p.column) for p in problems] == [
        ("error", "selectors[1]", 3, 3),
        ("error", "selectors[1].zzz", 4, 3),
    ]


def test_rules_that_cannot_match_are_not_looked_at() -> None:
    """Label values that a rule needs are an index, on either side; the rest is always looked at."""
    text = """
    - {name: n, namespaceSelector: {matchLabels: {team: a}}}
    - {name: p, objectSelector: {matchExpressions: [{key: app, operator: In, values: [x, y]}]}}
    - {name: e, objectSelector: {matchExpressions: [{key: app, operator: Exists}]}}
    - {name: l, namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [b, c]},
        {key: zone, operator: In, values: [z]}]}}
    """
    profile, _ = read({"selectors": text})
    assert profile is not None
    assert profile.index.candidates({}, {}) == [2]
    assert profile.index.candidates({"team": "a"}, {"app": "y"}) == [0, 1, 2]
    assert profile.index.candidates({"zone": "z"}, {}) == [2, 3]
    assert Profile().index.candidates({"team": "a"}, {"app": "y"}) == []


def test_the_version_is_kept() -> None:
    """It is what a Pod's trace names."""
    profile, _ = parse_profile({}, "1143669")
    assert profile is not None
    assert profile.version == "1143669"


def test_problems_beyond_a_limit_are_counted() -> None:
    """A thousand of a severity are listed; a log line has its price, and nobody reads on."""
    profile, problems = read({"selectors": "[" + "1," * 5000 + "]"})
    assert profile is not None
    assert profile.rules == ()
    assert len(problems) == PROBLEMS_LIMIT + 1
    assert problems[-1].message == "4,000 further errors; correct these first"
    assert (problems[-1].path, problems[-1].line) == ("selectors", 1)


def test_warnings_beyond_a_limit_are_counted_apart() -> None:
    """They hide no error."""
    data = {f"zzz{i:05}": "" for i in range(5000)}
    started = process_time()
    _, problems = read({**data, "selectors": "[5]"})
    assert process_time() - started < 5
    assert len(problems) == PROBLEMS_LIMIT + 2
    assert [p.message for p in problems if "further" in p.message] == [
        "4,000 further warnings; correct these first"
    ]
    assert [p.path for p in problems if p.severity == "error"] == ["selectors[0]"]


def test_a_hundred_thousand_unknown_fields_take_a_moment() -> None:
    """The nearest name is looked for only where it is shown."""
    text = "- name: a\n" + "".join(f"  prioriti{i}: 1\n" for i in range(50_000))
    started = process_time()
    _, problems = read({"selectors": text})
    assert process_time() - started < 10
    assert len(problems) == PROBLEMS_LIMIT + 1


def test_ten_thousand_rules_take_seconds() -> None:
    """As many as fit into a ConfigMap, of 1 MiB."""
    rules = [
        {"name": f"r{i}", "namespaceSelector": {"matchLabels": {"t": f"t{i}"}}, "placement": "off"}
        for i in range(10_000)
    ]
    text = json.dumps(rules)
    assert len(text) < 1 << 20
    started = process_time()
    profile, problems = read({"selectors": text})
    assert process_time() - started < 20
    assert problems == []
    assert profile is not None
    assert len(profile.rules) == 10_000


def test_every_documented_key_is_known() -> None:
    """Those of the managed feature, and those that were added."""
    assert {*DEFAULT_KEYS} == {*LISTS, *WRONG}
