"""A manifest holds the profile or namespaces, or is refused in one line; problems have places."""

import json
from time import process_time
from typing import Any

import pytest
import yaml

from webhook.errors import ProfileError
from webhook.manifests import (
    DATA_LIMIT_BYTES,
    NAME_LABEL,
    Reading,
    namespaces_from_manifests,
    profile_from_manifest,
    read_manifest,
    version_of,
)

HEAD = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: vci-profile
  namespace: kube-system
"""
RULE = "- name: r\n  matchAll: true\n"
GOOD = f"{HEAD}data:\n  selectors: |\n    - name: r\n      matchAll: true\n"


def manifest(data: Any, **fields: Any) -> bytes:
    """Write a manifest as JSON."""
    metadata = {"name": "vci-profile", "namespace": "kube-system"}
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": data,
        **fields,
    }
    return json.dumps(content).encode()


def reading_of(text: str | bytes) -> Reading:
    return read_manifest(text if isinstance(text, bytes) else text.encode(), "f.yaml")


def lines_of(text: str | bytes) -> list[str]:
    """Return the problems of a manifest as a person reads them."""
    return [f"{p.line}:{p.column}: {p.severity}: {p}" for p in reading_of(text).problems]


def refusal_of(text: str | bytes) -> str:
    """Return why the manifest cannot be used at all; both ways to read it say the same."""
    content = text if isinstance(text, bytes) else text.encode()
    said = []
    for read in (read_manifest, profile_from_manifest):
        with pytest.raises(ProfileError) as caught:
            read(content, "f.yaml")
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    return said[0]


def rule_names(text: str | bytes) -> list[str]:
    profile = reading_of(text).profile
    assert profile is not None
    return [rule.name for rule in profile.rules]


def test_a_profile_is_read_with_its_version() -> None:
    """Its version is a hash of the data, and of nothing else."""
    profile, problems = profile_from_manifest(GOOD.encode(), "f.yaml")
    assert problems == ()
    assert [rule.name for rule in profile.rules] == ["r"]
    assert profile.version == version_of({"selectors": RULE})
    as_json = manifest({"selectors": RULE}, immutable=False)
    again, _ = profile_from_manifest(as_json, "f.json")
    assert again == profile


def test_the_version_tells_data_apart() -> None:
    """Whatever moves from a key to a value or to another key changes it."""
    versions = [
        version_of(data)
        for data in ({}, {"a": "b"}, {"ab": ""}, {"a": "b", "c": ""}, {"a": "", "c": "b"})
    ]
    assert len({*versions}) == len(versions)
    assert version_of({"a": "1", "b": "2"}) == version_of({"b": "2", "a": "1"})


WORKS = {
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "CRLF": GOOD.replace("\n", "\r\n").encode(),
    "both": b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(),
    "a List of one": json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(GOOD)]}
    ).encode(),
    "a ConfigMapList of one": json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMapList", "items": [yaml.safe_load(GOOD)]}
    ).encode(),
    "an empty document beside it": f"---\n{GOOD}---\n# nothing\n".encode(),
    "without a namespace": GOOD.replace("  namespace: kube-system\n", "").encode(),
    "as kubectl prints it": manifest(
        {"selectors": RULE}, metadata={"name": "vci-profile", "uid": "x", "labels": {"a": "b"}}
    ),
    "folded rules": (
        HEAD + "data:\n  selectors: >\n    [{name: r,\n    matchAll: true}]\n"
    ).encode(),
    "anchors": (
        HEAD + "data:\n  other: &x |\n    - name: r\n      matchAll: true\n  selectors: *x\n"
    ).encode(),
}


@pytest.mark.parametrize("content", WORKS.values(), ids=WORKS)
def test_what_a_user_expects_to_work_works(content: bytes) -> None:
    """However editors and kubectl write the file."""
    assert rule_names(content) == ["r"]
    assert not [p for p in reading_of(content).problems if p.severity == "error"]


UNUSABLE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "f.yaml: empty; write the ConfigMap of the profile into it"),
    "white space": (" \n\t\n", "f.yaml: empty; write"),
    "comments": ("# nothing\n---\n", "f.yaml: empty; write"),
    "null": ("null", "f.yaml: empty; write"),
    "text": ("hello", "f.yaml:1:1: a string where the manifest of a ConfigMap belongs; begin with"),
    "number": ("5", "f.yaml:1:1: an integer where the manifest of a ConfigMap belongs; begin"),
    "a bare list of rules": (RULE, "f.yaml:1:1: a list where the manifest of a ConfigMap belongs"),
    "bare data": (
        "selectors: []",
        (
            "f.yaml:1:1: no manifest, which has apiVersion and kind; begin with "
            '"apiVersion: v1" and "kind: ConfigMap"'
        ),
    ),
    "no kind": ("apiVersion: v1\ndata: {}", "f.yaml:1:1: no manifest"),
    "kind a number": ("apiVersion: v1\nkind: 1", "f.yaml:1:1: no manifest"),
    "Secret": (
        GOOD.replace("ConfigMap", "Secret"),
        (
            'f.yaml:1:1: "v1, Secret" where "v1, ConfigMap" belongs; correct apiVersion and kind, '
            "or name another file"
        ),
    ),
    "v1beta1": (GOOD.replace("v1\n", "v1beta1\n"), '"v1beta1, ConfigMap" where'),
    "two documents": (
        f"{GOOD}---\n{GOOD}",
        "f.yaml:11:1: 2 objects where one ConfigMap belongs; keep one",
    ),
    "three documents": (
        f"{GOOD}---\n{GOOD}---\nkind: Namespace\n",
        "f.yaml:11:1: 3 objects where one ConfigMap belongs",
    ),
    "a List of two": (
        json.dumps({"kind": "List", "items": [{}, {}]}),
        "f.yaml:1:32: 2 objects where one",
    ),
    "a List of none": (
        '{"kind": "List", "items": []}',
        "f.yaml: a List without items; put the ConfigMap into it",
    ),
    "a List of a Secret": (
        '{"kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret"}]}',
        'f.yaml:1:28: "v1, Secret" where',
    ),
    "items no list": ('{"kind": "List", "items": {}}', "f.yaml: a List without items"),
    "UTF-16": (GOOD.encode("utf-16"), "f.yaml: UTF-16 or UTF-32 text; save the file as UTF-8"),
    "binary": (
        b"\x1f\x8b\x08\x00",
        "f.yaml: not text (byte 3 is NUL); save the file as UTF-8 text",
    ),
    "latin 1": (
        GOOD.replace("name: r", "name: é").encode("latin-1"),
        "f.yaml: not UTF-8 text (byte",
    ),
    "tab": (
        GOOD.replace("  name:", "\tname:"),
        "f.yaml:4:1: neither JSON nor YAML: a tab where YAML wants spaces; indent with spaces",
    ),
    "cut off": (GOOD + "  x: [1,", "f.yaml:10:9: neither JSON nor YAML: did not find expected"),
    "nesting": (
        HEAD + "data:\n  a: " + "[" * (1 << 20),
        "f.yaml:7:1004: nested deeper than 64 levels; flatten it",
    ),
    "laughs": (
        "a: &a [1, 1]\n"
        + "".join(
            f"{chr(i + 1)}: &{chr(i + 1)} [{', '.join([f'*{chr(i)}'] * 9)}]\n"
            for i in range(97, 110)
        ),
        "more than 1,000,000 values, anchors expanded; leave some out",
    ),
    "self reference": ("a: &a [*a]", 'f.yaml:1:8: "a" contains itself; write it out'),
    "lone surrogate": (
        manifest({"selectors": "\ud800"}),
        'f.yaml: "\\ud800" alone is half of a character; write both halves, or remove it',
    ),
}


@pytest.mark.parametrize(("text", "says"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_configmap_is_refused_in_one_line(text: str | bytes, says: str) -> None:
    """With the place where it is known, and what to do."""
    assert says in refusal_of(text)


def test_a_mebibyte_of_nesting_is_refused_at_once() -> None:
    """In the manifest as in its rules, whatever the syntax."""
    started = process_time()
    for opening in ("[", "{a: ", "- ", "? ", '{"a":'):
        nested = opening * ((1 << 20) // len(opening))
        assert "; " in refusal_of(nested)
        assert reading_of(manifest({"selectors": nested})).profile is None
    assert process_time() - started < 20


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (
            "{name: vci-profil, namespace: kube-system}",
            (
                'f.yaml:3:18: metadata.name: the ConfigMap is "kube-system/vci-profil" where '
                '"kube-system/vci-profile" belongs; rename it, or name it in the settings'
            ),
        ),
        ("{name: vci-profile, namespace: default}", 'is "default/vci-profile" where'),
        ("{namespace: kube-system}", 'f.yaml:3:11: metadata.name: no name; write "vci-profile"'),
        ("{name: 5}", "f.yaml:3:18: metadata.name: no name; write"),
        ("[]", "f.yaml:3:11: metadata.name: no name; write"),
        ("null", "f.yaml:3:11: metadata.name: no name; write"),
    ],
)
def test_another_name_is_refused_where_the_profile_is_needed(metadata: str, says: str) -> None:
    """A server must not take another ConfigMap for its profile."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\ndata: {{}}\n"
    with pytest.raises(ProfileError) as caught:
        profile_from_manifest(text.encode(), "f.yaml")
    assert says in str(caught.value)


def test_another_name_is_a_problem_where_a_file_is_only_judged() -> None:
    """The rules are judged all the same; without any name kubectl would refuse the manifest."""
    text = GOOD.replace("name: vci-profile", "name: other")
    assert rule_names(text) == ["r"]
    (problem,) = reading_of(text).problems
    assert (problem.severity, problem.path, problem.line) == ("warning", "metadata.name", 4)
    named = read_manifest(text.encode(), "f", name="other")
    assert named.problems == ()
    (problem,) = reading_of(
        "apiVersion: v1\nkind: ConfigMap\ndata: {selectors: '[{name: r, matchAll: true}]'}"
    ).problems
    assert (problem.severity, problem.line, problem.column) == ("error", 1, 1)


def data_lines(data: str) -> list[str]:
    return lines_of(f"{HEAD}{data}")


NO_STRINGS = {
    "true": (
        "  tlsEnable: true\n",
        '7:14: error: tlsEnable: a boolean "true" where a string belongs; quote it',
    ),
    "yes": (
        "  tlsEnable: yes\n",
        '7:14: error: tlsEnable: a boolean "yes" where a string belongs; quote it',
    ),
    "number": (
        "  pinToVirtualNode: 0x1\n",
        '7:21: error: pinToVirtualNode: an integer "0x1" where a string belongs; quote it',
    ),
    "nan": (
        "  tlsEnable: .NaN\n",
        '7:14: error: tlsEnable: a number ".NaN" where a string belongs; quote it',
    ),
    "digits": (
        f"  tlsEnable: {'9' * 5000}\n",
        f'7:14: error: tlsEnable: a number "{"9" * 77}..." where a string belongs; quote it',
    ),
    "null": (
        "  tlsEnable:\n",
        "7:13: error: tlsEnable: null where a string belongs; write a string",
    ),
    "list": (
        "  tlsEnable: [a]\n",
        "7:14: error: tlsEnable: a list where a string belongs; write | after the colon",
    ),
    "unknown key": (
        "  zzz: 5\n",
        '7:8: error: zzz: an integer "5" where a string belongs; quote it',
    ),
    "tag": (
        "  tlsEnable: !!python/name:x ''\n",
        '7:14: error: tlsEnable: the tag "!!python/name:x" has no meaning here; remove it',
    ),
    "key": (
        "  5: x\n",
        '7:3: error: data: a key "5" that is not a string; quote it, or write a name',
    ),
    "twice": (
        "  tlsEnable: 'true'\n  tlsEnable: 'false'\n",
        '8:3: error: data: "tlsEnable" is given twice; keep one of the two',
    ),
}


@pytest.mark.parametrize(("data", "line"), NO_STRINGS.values(), ids=NO_STRINGS)
def test_a_value_that_is_no_string_has_no_effect(data: str, line: str) -> None:
    """As kubectl would refuse the manifest, with its place and remedy; the rules act."""
    rules = "  selectors: '[{name: r, matchAll: true}]'\n"
    text = f"{HEAD}data:\n{data}{rules}"
    assert lines_of(text) == [line]
    profile = reading_of(text).profile
    assert profile is not None
    assert len(profile.rules) == 1
    assert profile.defaults.annotations == {}


UNCERTAIN = {
    "a real list": (
        "data:\n  selectors:\n    - name: r\n",
        ["8:5: error: selectors: a list where a string belongs; write | after the colon"],
    ),
    "an empty value": (
        "data:\n  selectors:\n",
        ["7:13: error: selectors: null where a string belongs; write a string"],
    ),
    "rules twice": (
        "data:\n  selectors: ''\n  selectors: ''\n",
        ['8:3: error: data: "selectors" is given twice; keep one of the two'],
    ),
    "data twice": (
        "data: {}\ndata: {}\n",
        ['7:1: error: manifest: "data" is given twice; keep one of the two'],
    ),
    "data a list": (
        "data: []\n",
        ["6:7: error: data: a list where a mapping belongs; write a mapping"],
    ),
    "data text": (
        "data: x\n",
        ['6:7: error: data: a string "x" where a mapping belongs; write a mapping'],
    ),
}


@pytest.mark.parametrize(("data", "lines"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_rules_that_are_not_certain_make_the_profile_invalid(data: str, lines: list[str]) -> None:
    """Nobody can know which were meant, so there are none; the server starts without rules."""
    assert data_lines(data) == lines
    assert reading_of(f"{HEAD}{data}").profile is None
    profile, problems = profile_from_manifest(f"{HEAD}{data}".encode(), "f")
    assert profile.rules == ()
    assert len(problems) == len(lines)


NO_RULES = "warning: selectors: no rules, so no Pod is touched; add one"
FIELDS = {
    "data null": ("data:\n", [f"0:0: {NO_RULES}"]),
    "no data": ("", [f"0:0: {NO_RULES}"]),
    "typo": (
        "dta: {}\n",
        [
            f"0:0: {NO_RULES}",
            '6:1: warning: dta: unknown field, has no effect; did you mean "data"?',
        ],
    ),
    "spec": (
        "spec: {}\n",
        [f"0:0: {NO_RULES}", "6:1: warning: spec: unknown field, has no effect; remove it"],
    ),
    "binary": (
        "binaryData: {selectors: W10=}\n",
        [
            f"0:0: {NO_RULES}",
            "6:14: warning: binaryData.selectors: not read; write text, under data",
        ],
    ),
    "binary text": ("binaryData: x\n", [f"0:0: {NO_RULES}"]),
    "metadata": (
        "data: {}\nmetadata: {}\n",
        [
            f"0:0: {NO_RULES}",
            '7:1: error: manifest: "metadata" is given twice; keep one of the two',
        ],
    ),
}


@pytest.mark.parametrize(("fields", "lines"), FIELDS.values(), ids=FIELDS)
def test_fields_that_nobody_reads_are_reported(fields: str, lines: list[str]) -> None:
    """Without data there are no rules, which is valid, and said."""
    assert data_lines(fields) == lines
    profile = reading_of(f"{HEAD}{fields}").profile
    assert profile is not None


def test_a_name_that_is_given_twice_is_reported() -> None:
    """In the metadata too; the first one counts."""
    text = GOOD.replace("  namespace:", "  name: other\n  namespace:")
    assert lines_of(text) == ['5:3: error: metadata: "name" is given twice; keep one of the two']


def test_more_data_than_the_api_server_accepts_is_reported() -> None:
    """1 MiB for all values of a ConfigMap."""
    rules = "[{name: r, matchAll: true}]"
    filler = DATA_LIMIT_BYTES - len(rules)
    assert lines_of(manifest({"selectors": rules + " " * filler})) == []
    (line,) = lines_of(manifest({"selectors": rules + " " * (filler + 1)}))
    assert line.startswith("1:116: error: data: 1,048,577 bytes, but the API server accepts 1,0")
    assert line.endswith("; leave some out")


def test_every_problem_has_its_place_in_the_file() -> None:
    """Also inside the text of the rules; the order is that of the file."""
    lines = data_lines(
        """\
data:
  tlsEnabel: "true"
  preferredSubnetIds: sbnet
  selectors: |
    # comment

    - name: a
      placement: enforced
    - name: b
      matchAll: true
      matchAll: true
  hostIpConfig: podIp
"""
    )
    assert [" ".join(line.split()[:3]) for line in lines] == [
        "7:3: warning: tlsEnabel:",
        "8:23: warning: preferredSubnetIds:",
        "12:7: error: selectors[0]:",
        "13:18: error: selectors[0].placement:",
        "16:7: error: selectors[1]:",
        "17:17: warning: hostIpConfig:",
    ]


def test_places_are_found_in_json_as_well() -> None:
    """As kubectl get -o json prints it; the rules are JSON in a JSON string."""
    rules = json.dumps([{"name": "a", "matchAll": True, "placement": "on"}])
    text = json.dumps(yaml.safe_load(HEAD) | {"data": {"selectors": rules}}, indent=4)
    (line,) = lines_of(text)
    column = text.splitlines()[8].index('\\"on') + 1
    assert line.startswith(f'9:{column}: error: selectors[0].placement: "on" is not one of')


def test_a_syntax_error_inside_the_rules_has_its_place() -> None:
    """One error, and the profile is invalid as a whole."""
    (line,) = data_lines("data:\n  selectors: |\n    - name: a\n      x: [1\n    - name: b\n")
    assert line.startswith(
        "10:11: error: selectors: neither JSON nor YAML: did not find expected ','"
    )


def test_a_place_that_is_not_known_is_that_of_the_value() -> None:
    """Here, because a tag stands before the quotes."""
    (line,) = data_lines("data:\n  selectors: !!str '[5]'\n")
    assert line.startswith("7:14: error: selectors[0]: a rule is a mapping")


def test_a_json_manifest_that_is_no_yaml_has_no_places() -> None:
    """Escaped surrogate pairs are JSON only; the problems are named all the same."""
    rules = json.dumps([{"name": "a", "matchAll": True, "placement": "😀"}], ensure_ascii=False)
    (line,) = lines_of(manifest({"selectors": rules}))
    assert line.startswith('0:0: error: selectors[0].placement: "😀" is not one of')


def test_rules_that_are_no_yaml_have_the_place_of_their_text() -> None:
    """The same inside: nothing is known but where the rules as a whole stand."""
    rules = json.dumps([{"name": "a", "matchAll": True, "placement": "😀"}])
    (line,) = data_lines(f"data:\n  selectors: |\n    {rules}\n")
    assert line.startswith('7:14: error: selectors[0].placement: "😀" is not one of')


def test_ten_thousand_rules_are_judged_in_seconds() -> None:
    """With a thousand problems to be found again in the file."""
    rules = "".join(
        f"    - {{name: r{i}, matchAll: true, placement: zzz}}\n" for i in range(10_000)
    )
    text = f"{HEAD}data:\n  selectors: |\n{rules}"
    started = process_time()
    problems = reading_of(text).problems
    assert process_time() - started < 30
    assert [problem.line for problem in problems[:3]] == [8, 9, 10]
    assert problems[-1].message == "9,000 further errors; correct these first"


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: argo, labels: {vci: 'true'}}\n"


def test_namespaces_are_read_with_their_labels() -> None:
    """One, several documents, or a List; the name is a label too, as the API server makes it."""
    expected = {"argo": {"vci": "true", NAME_LABEL: "argo"}, "other": {NAME_LABEL: "other"}}
    other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: }\n"
    items = [yaml.safe_load(NAMESPACE), yaml.safe_load(other)]
    for kind in ("List", "NamespaceList"):
        as_list = json.dumps({"apiVersion": "v1", "kind": kind, "items": items}).encode()
        assert namespaces_from_manifests(as_list, "f") == expected
    text = f"{NAMESPACE}---\n{other}".encode()
    assert namespaces_from_manifests(text, "f") == expected


NO_NAMESPACES = {
    "empty": ("", "f: no Namespace in it; add one for each namespace to serve"),
    "empty List": ("kind: List", "f: no Namespace in it; add one"),
    "other kind": (
        f"{NAMESPACE}---\n{GOOD}",
        'f:5:1: "v1, ConfigMap" where "v1, Namespace" belongs',
    ),
    "text": ("x", "f:1:1: a string where the manifest of a Namespace belongs; begin with"),
    "no name": (
        "apiVersion: v1\nkind: Namespace\n",
        "f:1:1: a Namespace without metadata.name; add it",
    ),
    "name a number": (
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: 5}",
        "without metadata.name; add",
    ),
    "label a number": (
        NAMESPACE.replace("'true'", "5"),
        'f:3:38: metadata.labels.vci: an integer "5" where a string belongs; quote it',
    ),
    "labels a list": (
        NAMESPACE.replace("{vci: 'true'}", "[]"),
        "f:3:32: metadata.labels: a list where a mapping belongs",
    ),
    "label twice": (
        NAMESPACE.replace("vci:", "vci: x, vci:"),
        'f:3:41: metadata.labels: "vci" is given twice; keep one',
    ),
}


@pytest.mark.parametrize(("text", "says"), NO_NAMESPACES.values(), ids=NO_NAMESPACES)
def test_what_is_no_namespace_is_refused_in_one_line(text: str, says: str) -> None:
    """With its place and what to do."""
    with pytest.raises(ProfileError) as caught:
        namespaces_from_manifests(text.encode(), "f")
    assert says in str(caught.value)
