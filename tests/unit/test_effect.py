"""An effect injects what Kubernetes and VCI certainly accept; all else is refused when read."""

from typing import Any

import pytest

from tests.unit.profiles import Refusal, assert_one, read, refusals, refused, rule_of, warned
from webhook import vci
from webhook.effect import Effect

EFFECT = "selectors[0].effect"


def effect_of(fields: str) -> Effect:
    return rule_of(f"effect: {fields}").effect


FIRST_CLASS: dict[str, tuple[str, str, str]] = {
    "subnetIds": ("[subnet-b, ' subnet-a ']", vci.SUBNETS, "subnet-b,subnet-a"),
    "securityGroupIds": ("[sg-1, sg-2]", vci.SECURITY_GROUPS, "sg-1,sg-2"),
    "instanceFamilies": ("[vci.u1, vci.n3i]", vci.FAMILIES, "vci.u1,vci.n3i"),
    "instanceTypes": ("[vci.u1.2c-4gi]", vci.TYPES, "vci.u1.2c-4gi"),
    "systemDiskGiB": ("40", vci.SYSTEM_DISK, "40"),
    "kubeProxy": ("false", vci.KUBE_PROXY, "false"),
    "imageCache": ("true", vci.IMAGE_CACHE, "true"),
    "resourceTags": ("{app: nginx, env: 'a:b'}", vci.RESOURCE_TAGS, "app:nginx,env:a:b"),
}


@pytest.mark.parametrize(("name", "case"), FIRST_CLASS.items(), ids=FIRST_CLASS)
def test_a_first_class_field_becomes_its_annotation(name: str, case: tuple[str, str, str]) -> None:
    """The value has the format that VCI reads: comma lists in order, numbers and flags as text."""
    written, annotation, value = case
    assert effect_of(f"{{{name}: {written}}}").annotations == {annotation: value}


@pytest.mark.parametrize("size", [40, 500])
def test_the_limits_of_the_system_disk_are_inclusive(size: int) -> None:
    """40 and 500 GiB are sizes that VCI has."""
    assert effect_of(f"{{systemDiskGiB: {size}}}").annotations == {vci.SYSTEM_DISK: str(size)}


@pytest.mark.parametrize("field", ["subnetIds: []", "subnetIds: null"])
def test_an_empty_list_sets_nothing(field: str) -> None:
    """It is reported, because whoever wrote it meant something."""
    problems = warned(f"effect: {{{field}}}")
    assert_one(problems, "warning", f"{EFFECT}.subnetIds", "an empty list sets nothing; remove it")


def test_empty_resource_tags_set_nothing() -> None:
    """An empty map is an empty effect."""
    assert effect_of("{resourceTags: {}}") == Effect()


@pytest.mark.parametrize("effect", ["{}", "null"])
def test_an_empty_effect_injects_nothing(effect: str) -> None:
    """It is the same as none."""
    assert effect_of(effect) == Effect()


def test_maps_are_read() -> None:
    """Annotations, labels and nodeSelector are kept as they are written."""
    effect = effect_of(
        "{annotations: {Example.com/A: any text}, labels: {a: '', b/c: d},"
        " nodeSelector: {disk: ssd}}"
    )
    assert effect.annotations == {"Example.com/A": "any text"}
    assert effect.labels == {"a": "", "b/c": "d"}
    assert effect.node_selector == {"disk": "ssd"}


TOLERATIONS: dict[str, dict[str, Any]] = {
    "{key: a, operator: Exists}": {"key": "a", "operator": "Exists"},
    "{key: a, value: b, effect: NoSchedule}": {"key": "a", "value": "b", "effect": "NoSchedule"},
    "{key: a, operator: Equal, value: ''}": {"key": "a", "operator": "Equal"},
    "{key: a, operator: Exists, effect: ''}": {"key": "a", "operator": "Exists"},
    "{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: -1}": {
        "key": "a",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": -1,
    },
}


@pytest.mark.parametrize(("written", "toleration"), TOLERATIONS.items(), ids=TOLERATIONS)
def test_a_toleration_is_read(written: str, toleration: dict[str, Any]) -> None:
    """As it stands in a Pod, without fields that say nothing."""
    assert effect_of(f"{{tolerations: [{written}]}}").tolerations == (toleration,)


def test_a_toleration_of_everything_is_reported() -> None:
    """It acts, but bears the taints of broken nodes too."""
    (problem,) = warned("effect: {tolerations: [{operator: Exists}]}")
    assert_one([problem], "warning", f"{EFFECT}.tolerations[0]", "every taint", "name the key")


UNUSUAL = {
    "subnetIds: [vpc-1]": (".subnetIds[0]", '"vpc-1" does not look like a VCI subnet id'),
    "securityGroupIds: [sg-1, SG]": (".securityGroupIds[1]", "security group id"),
    "instanceFamilies: ['']": (".instanceFamilies[0]", "instance family"),
    "instanceTypes: [vci.u1]": (".instanceTypes[0]", "instance type"),
    f"annotations: {{{vci.FAMILIES}: 'vci.u1, x'}}": (f".annotations.{vci.FAMILIES}", '" x"'),
}


@pytest.mark.parametrize(("field", "case"), UNUSUAL.items(), ids=UNUSUAL)
def test_an_unusual_id_is_reported_and_kept(field: str, case: tuple[str, str]) -> None:
    """The vendor may name the next family differently, so this is never a refusal."""
    problems = warned(f"effect: {{{field}}}")
    assert_one(problems, "warning", f"{EFFECT}{case[0]}", case[1], "check its spelling")


@pytest.mark.parametrize("case", refusals("effect"), ids=str)
def test_what_may_be_refused_later_is_refused_now(case: Refusal) -> None:
    """One illegal value would make the API server refuse every Pod that the rule matches."""
    assert_one(refused(case.text), "error", f"selectors[0].{case.path}", *case.says)


def test_annotations_that_no_object_can_have_are_refused() -> None:
    """256 KiB is the limit for all keys and values of one object together."""
    problems = refused(f"effect: {{annotations: {{a: {'x' * 262_144}}}}}")
    assert_one(problems, "error", EFFECT, "more than 256 KiB in all", "shorten them")


def test_the_largest_annotations_are_accepted() -> None:
    """256 KiB of keys and values in all is what the API server accepts."""
    assert effect_of(f"{{annotations: {{a: {'x' * 262_143}}}}}").annotations["a"]


@pytest.mark.parametrize("cost", ["0", "-2147483648", "2147483647"])
def test_a_deletion_cost_is_an_int32(cost: str) -> None:
    """Any 32-bit integer, as Kubernetes writes it, is accepted."""
    key = "controller.kubernetes.io/pod-deletion-cost"
    assert effect_of(f"{{annotations: {{{key}: '{cost}'}}}}").annotations == {key: cost}


def test_the_label_of_virtual_nodes_is_the_one_that_is_set() -> None:
    """With another virtualNodeLabel its key is refused in nodeSelector, and type is not."""
    rules = "[{name: r, matchAll: true, effect: {nodeSelector: {type: a, kind: b}}}]"
    _, problems = read({"selectors": rules, "virtualNodeLabel": "kind=virtual"})
    assert_one(problems, "error", f"{EFFECT}.nodeSelector.kind", '"kind" marks virtual nodes')
