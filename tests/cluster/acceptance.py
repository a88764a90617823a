"""Puts a Pod and a profile before the real API server: without the webhook, with it, and again."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

from tests.cluster.audit import AuditLog, new_id, was_mutated
from tests.cluster.client import ApiError, Object
from tests.cluster.control_plane import Cluster
from tests.cluster.embedded import Embedded, embedded_webhook
from tests.cluster.record import RECORDED
from tests.cluster.workloads import create_namespace
from tests.model.vocabulary import BURST
from webhook.profile import Profile

DRY_RUN = "?dryRun=All"
SELECTED = "selected"  # the namespace whose Pods are sent to the webhook
FREE = "free"
SET_BY_SERVER = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "namespace",
    "resourceVersion",
    "uid",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An accepted Pod, and what the API server noted about the webhook's part in it."""

    pod: Object
    decision: str
    rules: str
    mutated: bool


@dataclass(slots=True)
class Trial:
    """A webhook in force, and what became of the Pods so far."""

    cluster: Cluster
    webhook: Embedded
    log: AuditLog
    illegal: list[str] = field(default_factory=list)
    decisions: Counter[str] = field(default_factory=Counter)

    def is_legal(self, pod: Object) -> bool:
        """Tell whether the API server accepts a Pod as it is."""
        try:
            self.cluster.admin.create(pod, FREE, DRY_RUN)
        except ApiError as error:
            self.illegal.append(str(error))
            return False
        return True

    def create(self, pod: Object, query: str = DRY_RUN) -> Verdict:
        """Create a Pod that the webhook is asked about; a refusal is an error."""
        audit_id = new_id()
        admin = replace(self.cluster.admin, headers={"Audit-ID": audit_id})
        created = admin.create(pod, SELECTED, query)
        event = self.log.find(audit_id)
        name, annotations = self.webhook.name, event["annotations"]
        return Verdict(
            created,
            annotations.get(f"{name}/decision", ""),
            annotations.get(f"{name}/rule", ""),
            was_mutated(event, name),
        )

    def use(self, data: Mapping[str, str], labels: Mapping[str, str] | None = None) -> list[str]:
        """Have a profile act on the next Pod, in a namespace with these labels."""
        return self.webhook.use(data, {SELECTED: labels or {}})

    def judge(self, pod: Object) -> Verdict:
        """Expect that a legal Pod is accepted, and that the Pod as accepted is left as it is."""
        verdict = self.create(pod)
        self.decisions[verdict.decision] += 1
        again = self.create(without_server_fields(verdict.pod))
        if not sets_labels_that_decide(self.webhook.state.snapshot.profile):
            assert not again.mutated
            assert (again.decision, again.rules) == (verdict.decision, verdict.rules)
            assert without_server_fields(again.pod) == without_server_fields(verdict.pod)
        return verdict


@contextmanager
def trial(cluster: Cluster) -> Iterator[Trial]:
    """Put a webhook in force for one of two namespaces."""
    for name in (SELECTED, FREE):
        create_namespace(cluster.admin, name)
    log = AuditLog(cluster.plane.audit_log)
    with embedded_webhook(cluster, SELECTED) as webhook:
        yield Trial(cluster, webhook, log)
    for name in (SELECTED, FREE):
        cluster.admin.delete("Namespace", name)


def without_server_fields(pod: Object) -> Object:
    """Return a Pod as its author could have written it."""
    again = deepcopy(pod)
    again.pop("status", None)
    for key in SET_BY_SERVER:
        again["metadata"].pop(key, None)
    return again


def sets_labels_that_decide(profile: Profile) -> bool:
    """Tell whether a rule sets a label by which a second admission could match differently."""
    selectors = [rule.object_selector for rule in profile.rules]
    decisive = {each.key for selector in selectors for each in selector.requirements}
    if profile.defaults.self_built:
        decisive.add(BURST)  # on a Pod it says enforce, whatever the rules say
    return any(decisive & rule.effect.labels.keys() for rule in profile.rules)


def recorded_pods() -> dict[str, Object]:
    """Return the recorded Pods, as their controllers wrote them."""
    reviews = {path.stem: json.loads(path.read_bytes()) for path in sorted(RECORDED.glob("*.json"))}
    return {
        name: without_server_fields(review["request"]["object"]) for name, review in reviews.items()
    }
