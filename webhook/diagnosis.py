"""Whether everything that it takes to be called agrees, and what to do about what does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webhook.diagnosis_calls import judge_configurations
from webhook.diagnosis_pairs import CA, Case, judge_certificates
from webhook.diagnosis_rules import judge_profile
from webhook.findings import Row, counted, unread
from webhook.observed import (
    Configuration,
    Endpoint,
    Labels,
    Mode,
    Observed,
    Program,
    Secret,
    Service,
    Unread,
)
from webhook.remedies import (
    CERTIFICATE_NAME,
    INJECT,
    RELEASE_NAME,
    RELEASE_NAMESPACE,
    Remedies,
    Remedy,
)
from webhook.wording import listed

SKEW_SECONDS = 60  # certificates are backdated by more; tokens and logs suffer from there on


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The table, and who issues the certificates."""

    mode: Mode
    rows: tuple[Row, ...]


def diagnose(observed: Observed, mode: Mode | None = None) -> Diagnosis:
    """Judge what was seen; ``mode`` is who issues the certificates, when a person says so."""
    found, why = (mode, "as told") if mode else detect_mode(observed)
    annotations = observed.tls.annotations if isinstance(observed.tls, Secret) else {}
    certificate = annotations.get(CERTIFICATE_NAME, "")
    remedies = Remedies(
        observed.names,
        found,
        certificate,
        _release(observed),
        absent=_is_absent(observed),
        elsewhere=_elsewhere(observed),
        unshared=_is_unshared(observed),
    )
    case = Case(observed, remedies, _called_hosts(observed))
    rows = [
        *_judge_api_server(case),
        Row("note", "certificates", f"{found}: {why}"),
        *_judge_program(case),
        *_judge_service(case),
        *judge_configurations(case),
        *(
            [unread("namespaces", observed.namespaces)]
            if isinstance(observed.namespaces, Unread)
            else []
        ),
        *judge_certificates(case),
        *judge_profile(case),
    ]
    if isinstance(observed.api_server, Unread):  # one row says it for all that is to be read there
        rows = [row for row in rows if not _repeats(row, observed.api_server)]
    return Diagnosis(found, tuple(rows))


def detect_mode(observed: Observed) -> tuple[Mode, str]:
    """Tell who issues the certificates from what exists, and how that was told."""
    names = observed.names
    for configuration in observed.configurations():
        for key in configuration.annotations:
            if key.startswith(INJECT):
                return "certManager", f"{configuration} has the annotation {key}"
    if isinstance(observed.tls, Secret) and CERTIFICATE_NAME in observed.tls.annotations:
        return "certManager", f"Secret {names.tls_secret} has the annotation {CERTIFICATE_NAME}"
    if isinstance(observed.ca, Secret):
        return "self", f"the certs program issues them, as there is Secret {names.ca_secret}"
    if isinstance(observed.program, Program) and observed.program.wanted:
        return "self", f"the certs program issues them, as there is Deployment {names.program}"
    if isinstance(observed.ca, Unread):
        return "self", "not known, so the default; say --certificates if it is not so"
    why = (
        "not known, as there is nothing of these names to tell it from"
        if _is_absent(observed)
        else f"there is no Secret {names.ca_secret} and no cert-manager; if the certs program or "
        "cert-manager should issue them, say --certificates"
    )
    return "provided", why


def _is_absent(observed: Observed) -> bool:
    """Tell whether there is nothing that has our names."""
    return observed.service is None and observed.mutating is None and observed.tls is None


def _is_unshared(observed: Observed) -> bool:
    """Tell whether the Secret has no CA, as one of ``kubectl create secret tls`` has none."""
    tls = observed.tls
    return tls is None or (isinstance(tls, Secret) and not tls.data.get(CA))


def _elsewhere(observed: Observed) -> tuple[str, str] | None:
    """Tell which Service is called instead, where there is none of our name to be seen."""
    if isinstance(observed.service, Service) or not isinstance(observed.mutating, Configuration):
        return None
    own = observed.names.namespace, observed.names.service
    called = {entry.service for entry in observed.mutating.entries if entry.service}
    return next(iter(called)) if len(called) == 1 and own not in called else None


def _release(observed: Observed) -> tuple[str, str] | None:
    """Tell by which release Helm installed us, where it says so on anything that was seen."""
    for seen in (observed.service, observed.program, *observed.configurations()):
        if isinstance(seen, (Service, Program, Configuration)):
            name, namespace = map(seen.annotations.get, (RELEASE_NAME, RELEASE_NAMESPACE))
            if name and namespace:
                return name, namespace
    return None


def _called_hosts(observed: Observed) -> tuple[str, ...]:
    """List the names by which the API server calls us, wherever it does not call somebody else."""
    own = observed.names.namespace, observed.names.service
    entries = [entry for each in observed.configurations() for entry in each.entries]
    hosts = (entry.host for entry in entries if entry.service in (None, own))
    return tuple(dict.fromkeys(hosts)) or (observed.names.host,)


def _judge_api_server(case: Case) -> Iterator[Row]:
    seen, ahead = case.observed.api_server, case.observed.ahead_seconds
    if isinstance(seen, Unread):
        remedy = Remedy(
            "check address, credentials and network, as kubectl does", "kubectl version"
        )
        yield Row("error", "API server", seen.why, remedy)
    elif ahead is not None and abs(ahead) > SKEW_SECONDS:
        clock = f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'}"
        finding = f"the clock here is {clock} its clock, by which this table judges certificates"
        yield Row("warning", "API server", finding, Remedy("set the clock that is wrong, with NTP"))
    else:
        clock = "" if ahead is None else ", and its clock agrees with the one here"
        yield Row("ok", "API server", f"answers{f', {seen}' if seen else ''}{clock}")


def _judge_program(case: Case) -> Iterator[Row]:
    """Say whether the certs program runs where it should, and only there."""
    seen, names, mode = case.observed.program, case.observed.names, case.remedies.mode
    what = f"Deployment {names.namespace}/{names.program}"
    if isinstance(seen, Unread):
        yield unread(what, seen)
    elif mode != "self":
        if seen is not None and seen.wanted:
            finding = "the certs program is installed too, and writes the same Secret and bundles"
            yield Row("warning", what, finding, case.remedies.stop_program())
    elif seen is None:
        finding = "does not exist: certificates are renewed by whoever runs python -m certs ensure"
        yield Row("note", what, finding)
    elif not seen.ready:
        finding = f"none of {seen.wanted} is ready, so nothing is renewed or repaired"
        yield Row("error", what, finding, case.remedies.watch_program())
    else:
        yield Row("ok", what, f"{seen.ready} of {seen.wanted} ready")


def _judge_service(case: Case) -> Iterator[Row]:
    observed, names = case.observed, case.observed.names
    what = f"Service {names.namespace}/{names.service}"
    entries = [entry for each in observed.configurations() for entry in each.entries]
    if entries and all(entry.service is None for entry in entries):
        yield Row("note", what, "not called: the configurations have a URL instead")
    elif isinstance(observed.service, Unread):
        yield unread(what, observed.service)
    elif observed.service is None:
        yield Row("error", what, "does not exist", case.remedies.install())
    elif missing := sorted({e.port for e in entries if e.service} - observed.service.ports.keys()):
        ports = listed(map(str, observed.service.ports))
        finding = f"has no port {missing[0]}, which the API server calls, but {ports}"
        yield Row("error", what, finding, case.remedies.install())
    elif isinstance(observed.endpoints, Unread):
        yield unread(what, observed.endpoints)
    else:
        yield _judge_endpoints(case, observed.endpoints, observed.service.selector)


def _judge_endpoints(case: Case, endpoints: Sequence[Endpoint], selector: Labels) -> Row:
    names = case.observed.names
    what = f"Service {names.namespace}/{names.service}"
    ready = [each for each in endpoints if each.ready]
    if ready:
        finding = f"{counted(len(ready), 'ready endpoint')}: {listed(map(str, ready))}"
        return Row("ok", what, finding)
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    command = f"kubectl describe pods --namespace {names.namespace} --selector {labels}"
    remedy = (
        Remedy("see why its Pods are not ready", command) if labels else case.remedies.install()
    )
    finding = (
        f"has no ready endpoint ({len(endpoints)} not ready), so nobody answers the API server"
    )
    return Row("error", what, finding, remedy)


def _repeats(row: Row, seen: Unread) -> bool:
    return row.severity == "unknown" and row.finding == seen.why
