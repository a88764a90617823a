"""Whether each certificate is good by itself, and whether all places have the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509

from webhook.certificates import (
    Chain,
    common_name,
    covers,
    ends_soon,
    fingerprint,
    left,
    names_of,
    read_certificates,
    why_no_key,
    why_not_now,
    why_untrusted,
)
from webhook.findings import Row, counted, unread
from webhook.observed import Observed, Presented, Secret, Service, Unread
from webhook.remedies import Remedies, Remedy
from webhook.wording import listed, quoted

CERTIFICATE, KEY, CA = "tls.crt", "tls.key", "ca.crt"


@dataclass(frozen=True, slots=True)
class Source:
    """A place that has a serving certificate which can be read."""

    what: str
    chain: Chain

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that is served."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class Case:
    """What all judges need; ``hosts`` are the names by which the API server calls."""

    observed: Observed
    remedies: Remedies
    hosts: Sequence[str]

    @property
    def secret(self) -> str:
        """What the Secret with the pair is called in the table."""
        return f"Secret {self.observed.names.namespace}/{self.observed.names.tls_secret}"


def published(observed: Observed) -> Chain:
    """Give the CAs that the certs program publishes."""
    seen = observed.ca
    return read_certificates(seen.data.get(CA, b"")) if isinstance(seen, Secret) else ()


def sources(case: Case) -> list[Source]:
    """List the places that have a serving certificate, the one that the others follow first."""
    observed = case.observed
    found = []
    if isinstance(observed.tls, Secret):
        found.append((case.secret, observed.tls.data.get(CERTIFICATE, b"")))
    if observed.mount is not None and not isinstance(observed.mount.files, Unread):
        mounted = observed.mount.files.get(CERTIFICATE, b"")
        found.append((f"mounted pair {observed.mount.directory}", mounted))
    found += [
        (f"server {each.address}", each.chain)
        for each in observed.presented
        if isinstance(each.chain, bytes)
    ]
    read = [Source(what, read_certificates(pem)) for what, pem in found]
    return [source for source in read if source.chain]


def judge_certificates(case: Case) -> Iterator[Row]:
    """Judge the Secrets, the mounted pair and what servers present."""
    yield from _judge_ca(case)
    yield from _judge_secret(case)
    yield from _judge_mount(case)
    for presented in case.observed.presented:
        if isinstance(presented.chain, bytes):
            yield from _judge_presented(case, presented.address, presented.chain)
    yield from _judge_silent(case)


def _judge_ca(case: Case) -> Iterator[Row]:
    if case.remedies.mode != "self":
        return
    seen, names, repair = case.observed.ca, case.observed.names, case.remedies.reissue()
    what = f"Secret {names.namespace}/{names.ca_secret}"
    bundle = published(case.observed)
    if isinstance(seen, Unread):
        yield unread(what, seen)
    elif seen is None:
        yield Row("error", what, "does not exist", repair)
    elif not bundle:
        yield Row("error", what, f"its {CA} is missing, or is not PEM certificates", repair)
    else:
        newest = max(bundle, key=lambda each: each.not_valid_after_utc)
        shown = listed(common_name(each.subject) for each in bundle)
        fine = f"{counted(len(bundle), 'CA')}, {shown}: {left(newest, case.observed.now)}"
        rows = list(_judge_validity(case, what, newest, repair))
        yield from rows or [Row("ok", what, fine)]


def _judge_secret(case: Case) -> Iterator[Row]:
    seen, repair = case.observed.tls, case.remedies.reissue()
    if isinstance(seen, Unread):
        yield unread(case.secret, seen)
    elif seen is None and case.remedies.mode == "provided" and _is_nobody_ready(case.observed):
        finding = "does not exist, and no server is ready: they may wait for it"
        yield Row("error", case.secret, finding, case.remedies.issue())
    elif seen is None and case.remedies.mode == "provided":
        finding = "does not exist, so the servers have their pair from elsewhere"
        yield Row("note", case.secret, finding)
    elif seen is None:
        yield Row("error", case.secret, "does not exist", case.remedies.issue())
    else:
        yield from _judge_pair(case, case.secret, seen.data, repair)


def _is_nobody_ready(observed: Observed) -> bool:
    """Tell whether there is a Service that nobody answers for."""
    if not isinstance(observed.service, Service) or isinstance(observed.endpoints, Unread):
        return False
    return not any(endpoint.ready for endpoint in observed.endpoints)


def _judge_mount(case: Case) -> Iterator[Row]:
    mount = case.observed.mount
    if mount is None:
        return
    what, repair = f"mounted pair {mount.directory}", case.remedies.restart()
    if isinstance(mount.files, Unread):
        yield Row("error", what, mount.files.why, repair)
    else:
        yield from _judge_pair(case, what, mount.files, repair)


def _judge_pair(case: Case, what: str, files: Mapping[str, bytes], repair: Remedy) -> Iterator[Row]:
    """Judge a certificate and its key, which are whole or are nothing."""
    chain = read_certificates(files.get(CERTIFICATE, b""))
    missing = [name for name in (CERTIFICATE, KEY) if not files.get(name)]
    if missing:
        yield Row("error", what, f"has no {' and no '.join(missing)}", repair)
    elif not chain:
        yield Row("error", what, f"its {CERTIFICATE} is not PEM certificates", repair)
    else:
        rows = (
            [Row("error", what, why, repair)] if (why := why_no_key(files[KEY], chain[0])) else []
        )
        rows += _judge_chain(case, Source(what, chain), repair)
        bundle, where = published(case.observed), f"Secret {case.observed.names.ca_secret}"
        if not bundle:
            bundle, where = read_certificates(files.get(CA, b"")), f"its {CA}"
        if bundle and (why := _why_untrusted(case, chain, bundle)):
            rows.append(Row("error", what, f"{where} does not vouch for it: {why}", repair))
        yield from rows or [Row("ok", what, _describe(case, chain))]


def _judge_presented(case: Case, address: str, pem: bytes) -> Iterator[Row]:
    what, repair = f"server {address}", case.remedies.restart()
    chain = read_certificates(pem)
    if not chain:
        yield Row("error", what, "presents what is not a certificate", repair)
        return
    rows = list(_judge_chain(case, Source(what, chain), repair))
    yield from rows or [Row("ok", what, f"presents {_describe(case, chain)}")]


def _judge_chain(case: Case, source: Source, repair: Remedy) -> Iterator[Row]:
    """Judge validity and names of a certificate, and that it is the one that it should be."""
    yield from _judge_validity(case, source.what, source.leaf, repair)
    if uncovered := [host for host in case.hosts if not covers(source.leaf, host)]:
        names = listed(names_of(source.leaf)) or "no name"
        finding = f"is not for {listed(uncovered)}, by which the API server calls, but for {names}"
        yield Row("error", source.what, finding, case.remedies.reissue())
    first = next(iter(sources(case)), source)
    if first.leaf != source.leaf:
        finding = (
            f"has another certificate ({fingerprint(source.leaf)}) than {first.what} "
            f"({fingerprint(first.leaf)})"
        )
        yield Row("error", source.what, finding, repair)


def _judge_validity(
    case: Case, what: str, certificate: x509.Certificate, repair: Remedy
) -> Iterator[Row]:
    now = case.observed.now
    name = quoted(common_name(certificate.subject))
    if why := why_not_now(certificate, now):
        yield Row("error", what, f"certificate {name}: {why}", repair)
    elif ends_soon(certificate, now):
        finding = f"certificate {name} should have been renewed: {left(certificate, now)}"
        yield Row("warning", what, finding, repair)


def _judge_silent(case: Case) -> Iterator[Row]:
    """Say which servers could not be reached; none at all is what is usual from outside."""
    silent = [each for each in case.observed.presented if isinstance(each.chain, Unread)]
    everywhere = len(silent) == len(case.observed.presented)
    for each in silent:
        if each.asked or not everywhere:
            finding = f"shows no certificate: {_why(each)}"
            yield Row("error", f"server {each.address}", finding, case.remedies.reach())
    if (unasked := [each for each in silent if not each.asked]) and everywhere:
        addresses = listed(each.address for each in unasked)
        finding = f"what it presents is not known: {addresses} cannot be reached from here"
        yield Row("unknown", "server", f"{finding} ({_why(unasked[0])})", case.remedies.reach())


def _why(presented: Presented) -> str:
    return presented.chain.why if isinstance(presented.chain, Unread) else ""


def _why_untrusted(case: Case, chain: Chain, bundle: Chain) -> str:
    return why_untrusted(chain, bundle, next(iter(case.hosts), ""), case.observed.now)


def _describe(case: Case, chain: Chain) -> str:
    leaf = chain[0]
    return (
        f"certificate {fingerprint(leaf)} for {case.hosts[0]}, by "
        f"{quoted(common_name(leaf.issuer))}: {left(leaf, case.observed.now)}"
    )
