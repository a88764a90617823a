"""What the rules that match a Pod, together with the cluster-wide keys, want of it."""

from typing import Any

from tests.model import vocabulary as v
from tests.model.reading import Profile, Rule
from tests.model.terms import and_into_term, cross


class Wanted:
    """The placement and each value on which the rules have the say, decided."""

    def __init__(self, pod: Any, profile: Profile, matched: list[Rule]) -> None:
        self.profile = profile
        self.matched = matched
        self.own_annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
        self.own_labels: dict[str, str] = pod["metadata"].get("labels") or {}
        self.own_node_selector: dict[str, str] = pod["spec"].get("nodeSelector") or {}
        self.own_terms = _own_terms(pod["spec"])
        self.placement = self._placement()
        self.node_selector = self._node_selector()
        self.terms = self._terms()

    def _placement(self) -> str:
        if self.own_annotations.get(v.BURST) == "enforce":
            return "enforce"
        if self.profile.self_built and self.own_labels.get(v.BURST) == "enforce":
            return "enforce"
        return self._placing_rule().placement or self.profile.default_placement

    def _placing_rule(self) -> Rule:
        for rule in self.matched:
            if rule.placement is not None:
                return rule
        return self.matched[0]

    @property
    def places_incompatible(self) -> bool:
        return self._placing_rule().places_anyway

    def _node_selector(self) -> dict[str, str]:
        wanted: dict[str, str] = {}
        for rule in self.matched:
            for key, value in rule.node_selector.items():
                wanted.setdefault(key, value)
        if self.placement == "enforce" and self.profile.pins:
            wanted[self.profile.label_key] = self.profile.label_value
        return wanted

    def _terms(self) -> list[Any] | None:
        """Return the required terms afterwards; None where there are none at all."""
        ours = None
        for rule in self.matched:
            if rule.required_terms:
                ours = rule.required_terms if ours is None else cross(ours, rule.required_terms)
        if ours is None or self.own_terms is None:
            return self.own_terms if ours is None else ours
        return [both for term in self.own_terms for both in and_into_term(term, ours)]

    @property
    def has_too_many_terms(self) -> bool:
        changed = self.terms != self.own_terms
        return changed and self.terms is not None and len(self.terms) > v.MAX_TERMS

    def annotations(self) -> dict[str, str]:
        """Return the annotations to set: what the Pod does not have, and what is overridden."""
        decided: dict[str, bool] = {}
        wanted: dict[str, str] = {}
        for rule in self.matched:
            for key, value in rule.annotations.items():
                if decided.setdefault(key, rule.overrides) and key not in wanted:
                    wanted[key] = value
                elif key not in self.own_annotations:
                    wanted.setdefault(key, value)
        defaults = {
            key: value
            for key, value in self._default_annotations().items()
            if key not in decided and key not in self.own_annotations
        }
        return {**wanted, **defaults}

    def _default_annotations(self) -> dict[str, str]:
        if self.placement == "off":
            return {}
        enforced = {v.BURST: "enforce"} if self.placement == "enforce" else {}
        return {**self.profile.annotations, **enforced}

    def labels(self) -> dict[str, str]:
        wanted: dict[str, str] = {}
        for rule in self.matched:
            for key, value in rule.labels.items():
                wanted.setdefault(key, value)
        if self.placement == "enforce" and self.profile.self_built:
            wanted.setdefault(v.BURST, "enforce")
        return {key: value for key, value in wanted.items() if key not in self.own_labels}

    def tolerations(self) -> list[Any]:
        wanted = [toleration for rule in self.matched for toleration in rule.tolerations]
        return wanted if self.placement == "off" else [*wanted, self.profile.toleration]

    def preferences(self) -> list[Any]:
        wanted = [term for rule in self.matched for term in rule.preferred_terms]
        operator = {"prefer": "In", "overflow": "NotIn"}.get(self.placement)
        if operator is None:
            return wanted
        key, value = self.profile.label_key, self.profile.label_value
        expression = {"key": key, "operator": operator, "values": [value]}
        return [*wanted, {"weight": 100, "preference": {"matchExpressions": [expression]}}]


def _own_terms(spec: Any) -> list[Any] | None:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get(v.REQUIRED)
    return None if required is None else list(required["nodeSelectorTerms"])
