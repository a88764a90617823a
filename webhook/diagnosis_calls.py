"""Whether the API server calls us: each configuration, its entries, bundles and namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from webhook.calls import label_command, labels_to_match
from webhook.certificates import (
    Chain,
    common_name,
    fingerprint,
    read_certificates,
    why_untrusted,
)
from webhook.cluster_advice import eligible
from webhook.diagnosis_pairs import Case, Source, published, sources
from webhook.findings import Row, counted, unread
from webhook.observed import Configuration, Entry, Labels, Unread
from webhook.reach import asking
from webhook.remedies import Remedy
from webhook.vci import SYSTEM_NAMESPACES
from webhook.wording import listed, quoted

_PATHS = {
    "MutatingWebhookConfiguration": "/mutate",
    "ValidatingWebhookConfiguration": "/validate",
}


def judge_configurations(case: Case) -> Iterator[Row]:
    """Judge both configurations."""
    observed, names = case.observed, case.observed.names
    mutating = f"MutatingWebhookConfiguration {names.mutating}"
    validating = f"ValidatingWebhookConfiguration {names.validating}"
    install = case.remedies.install()
    if isinstance(observed.mutating, Unread):
        yield unread(mutating, observed.mutating)
    elif observed.mutating is None:
        yield Row("error", mutating, "does not exist, so no Pod is placed", install)
    else:
        yield from _judge(case, observed.mutating)
    if isinstance(observed.validating, Unread):
        yield unread(validating, observed.validating)
    elif observed.validating is None:
        finding = "does not exist, so a profile with errors is stored without a word"
        yield Row("warning", validating, finding, install)
    else:
        yield from _judge(case, observed.validating)


def _judge(case: Case, configuration: Configuration) -> Iterator[Row]:
    if not configuration.entries:
        yield Row("error", str(configuration), "has no webhooks", case.remedies.install())
    for index, entry in enumerate(configuration.entries):
        several = f" {entry.name}" if len(configuration.entries) > 1 else ""
        judged = _Judged(case, configuration, index, f"{configuration}{several}")
        rows = list(judged.judge())
        if not any(row.severity in ("warning", "error") for row in rows):
            yield Row("ok", judged.what, judged.describe())
        yield from rows


class _Judged:
    """One entry of one configuration."""

    def __init__(self, case: Case, configuration: Configuration, index: int, what: str) -> None:
        self.case = case
        self.configuration = configuration
        self.index = index
        self.what = what
        self.entry: Entry = configuration.entries[index]
        self.bundle: Chain = read_certificates(self.entry.bundle)

    def judge(self) -> Iterator[Row]:
        """Complain, or say nothing."""
        yield from self._judge_target()
        yield from self._judge_bundle()
        yield from self._judge_calls()

    def describe(self) -> str:
        """Say what an entry is like that is fine."""
        entry = self.entry
        target = entry.url or f"{entry.host}:{entry.port}{entry.path}"
        trusted = listed(common_name(each.subject) for each in self.bundle) or "public CAs"
        told = (
            f"calls {target}{self._describe_calls()}, trusts {trusted}, failurePolicy "
            f"{entry.failure_policy}"
        )
        if entry.conditions and self.configuration.kind == "MutatingWebhookConfiguration":
            told += f"; not evaluated here: matchConditions {listed(entry.conditions)}"
        return told

    def _judge_target(self) -> Iterator[Row]:
        entry, names = self.entry, self.case.observed.names
        path = _PATHS[self.configuration.kind]
        if entry.service is None:
            if entry.url.partition("?")[0].endswith(path):
                return
            remedy = Remedy(f"have its url end in {path}")
            yield Row("error", self.what, f"its url does not end in {path}", remedy)
            return
        remedy = self.case.remedies.point(self.configuration, self.index, path)
        if entry.service != (names.namespace, names.service):
            finding = f"calls {entry.host}, not our Service {names.host}"
            yield Row("error", self.what, finding, remedy)
        elif entry.path.rstrip("/") != path:
            yield Row("error", self.what, f"calls {quoted(entry.path)}, not {path}", remedy)

    def _judge_bundle(self) -> Iterator[Row]:
        remedy = self.case.remedies.publish(self.configuration, self.index)
        if not self.entry.bundle:
            finding = "its caBundle is empty, so only public CAs are trusted"
            if self.entry.service:
                yield Row("error", self.what, finding, remedy)
            else:
                yield Row("note", self.what, finding)
            return
        if not self.bundle:
            yield Row("error", self.what, "its caBundle is not PEM certificates", remedy)
            return
        for leaf, places in self._distinct_sources().items():
            chain = places[0].chain
            if why := why_untrusted(chain, self.bundle, self.entry.host, self.case.observed.now):
                where = " and ".join(each.what for each in places)
                finding = f"its caBundle does not vouch for certificate {leaf} of {where}: {why}"
                yield Row("error", self.what, finding, remedy)
        if lacking := [ca for ca in published(self.case.observed) if ca not in self.bundle]:
            names = listed(common_name(ca.subject) for ca in lacking)
            finding = f"its caBundle lacks {names} of Secret {self.case.observed.names.ca_secret}"
            yield Row("warning", self.what, finding, remedy)

    def _distinct_sources(self) -> Mapping[str, list[Source]]:
        found: dict[str, list[Source]] = {}
        for source in sources(self.case):
            found.setdefault(fingerprint(source.leaf), []).append(source)
        return found

    def _judge_calls(self) -> Iterator[Row]:
        """Judge what an entry is called for, by namespaces and operations."""
        if self.configuration.kind == "ValidatingWebhookConfiguration":
            yield from self._judge_validating()
        else:
            yield from self._judge_mutating()

    def _judge_validating(self) -> Iterator[Row]:
        where = self.case.observed.names.profile_namespace
        namespaces = self.case.observed.namespaces
        if not self.entry.operations >= {"CREATE", "UPDATE"}:
            finding = "its rules do not name CREATE and UPDATE of configmaps, as the profile is one"
            yield Row("warning", self.what, finding, self.case.remedies.install())
        labels = {} if isinstance(namespaces, Unread) else namespaces
        if where in labels and not self.entry.selector.matches(labels[where]):
            finding = f"its namespaceSelector leaves out {quoted(where)}, where the profile is"
            yield Row("warning", self.what, finding, Remedy(f"have it match {quoted(where)}"))

    def _judge_mutating(self) -> Iterator[Row]:
        namespaces, own = self.case.observed.namespaces, self.case.observed.names.namespace
        entries = asking(self.configuration)
        if self.entry not in entries:
            finding = "its rules do not name CREATE of pods, so that it is never called"
            yield Row(
                "warning" if entries else "error", self.what, finding, self.case.remedies.install()
            )
            return
        if isinstance(namespaces, Unread):
            return
        possible = eligible(namespaces, SYSTEM_NAMESPACES | {own})
        called = [name for name in namespaces if self.entry.selector.matches(namespaces[name])]
        usual = min(entries, key=lambda entry: entry.failure_policy == "Fail")
        if self.entry is usual and not _called(entries, possible):
            finding = (
                f"its namespaceSelector matches none of {counted(len(namespaces), 'namespace')}"
            )
            yield Row("warning", self.what, finding, _label(self.entry))
        needed = sorted({own, *SYSTEM_NAMESPACES} & {*called})
        if needed and self.entry.failure_policy == "Fail":
            finding = (
                f"failurePolicy Fail for {listed(needed)}: its own Pods may wait for it to run"
            )
            remedy = Remedy("have its namespaceSelector leave it out")
            yield Row("warning", self.what, finding, remedy)

    def _describe_calls(self) -> str:
        """Say for how much of the cluster it is called, where that is to be told."""
        namespaces, own = self.case.observed.namespaces, self.case.observed.names.namespace
        if self.configuration.kind != "MutatingWebhookConfiguration":
            return ""
        if isinstance(namespaces, Unread):
            return ""
        possible = eligible(namespaces, SYSTEM_NAMESPACES | {own})
        called = len(_called([self.entry], possible))
        return f" for {called} of {counted(len(possible), 'namespace')}"


def _called(entries: Iterable[Entry], namespaces: Mapping[str, Labels]) -> list[str]:
    """List the namespaces that any of the entries is called for."""
    selectors = [entry.selector for entry in entries]
    return [
        name
        for name, labels in namespaces.items()
        if any(selector.matches(labels) for selector in selectors)
    ]


def _label(entry: Entry) -> Remedy:
    if changes := labels_to_match(entry.selector, [{}]):
        return Remedy("label the namespaces that are meant", label_command((), {}, changes))
    return Remedy("have it match the namespaces that are meant")
