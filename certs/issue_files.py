"""``python -m certs issue``: a CA and a serving certificate as files, without a cluster."""

import argparse
import shlex
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from certs.errors import FileUnusableError, NameUnusableError, UsageError
from certs.files import NewFile, write_files
from certs.issue import Pair, issue_ca, issue_serving, valid_until
from certs.names import Names, parse_address, parse_dns_name

T = TypeVar("T")

DESCRIPTION = """
Write ca.crt, tls.crt and tls.key: a CA, and a serving certificate that it signed. The key of the
CA is never written, so nobody can steal it; the next certificate comes with a CA of its own.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", required=True, help="where to write; made when missing")
    parser.add_argument(
        "--dns",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="DNS names of the server, such as vci-webhook.kube-system.svc; can be repeated",
    )
    parser.add_argument(
        "--ip",
        nargs="+",
        action="extend",
        default=[],
        metavar="ADDRESS",
        help="IP addresses of the server; can be repeated",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the files of an earlier run"
    )


def run(options: argparse.Namespace) -> str:
    """Do what the flags ask for, and return what a person should know next."""
    names = _names(options.dns, options.ip)
    directory = _directory(options.dir)
    try:
        return issue(directory, names, datetime.now(UTC), force=options.force)
    except FileUnusableError as error:
        raise UsageError(f"--dir: {error}") from None


def issue(directory: Path, names: Names, now: datetime, *, force: bool) -> str:
    """Write the files and return what a person should know next."""
    ca = issue_ca(now)
    serving = issue_serving(ca, names, now)
    write_files(_files(directory, ca, serving), overwrite=force)
    subjects = ", ".join([*names.dns, *map(str, names.addresses)])
    folder = shlex.quote(str(directory))
    return (
        f"{directory}: ca.crt (until {valid_until(ca.certificate):%Y-%m-%d}), tls.crt and tls.key"
        f" (for {subjects}, until {valid_until(serving.certificate):%Y-%m-%d})\n"
        f"next: vci-webhook serve --tls-dir {folder} --profile FILE --namespaces FILE"
    )


def _files(directory: Path, ca: Pair, serving: Pair) -> tuple[NewFile, ...]:
    # The certificate comes last: a server that watches the directory then finds the whole pair.
    return (
        NewFile(directory / "ca.crt", ca.certificate, 0o644),
        NewFile(directory / "tls.key", serving.key, 0o600),
        NewFile(directory / "tls.crt", serving.certificate, 0o644),
    )


def _directory(text: str) -> Path:
    if not text:
        raise UsageError("--dir: is empty; name a directory")
    return Path(text)


def _names(dns: Iterable[str], addresses: Iterable[str]) -> Names:
    names = Names(_each("--dns", parse_dns_name, dns), _each("--ip", parse_address, addresses))
    if not names.dns and not names.addresses:
        raise UsageError(
            "--dns and --ip: no name given; name the server as its clients call it,"
            " such as --dns vci-webhook.kube-system.svc or --ip 127.0.0.1"
        )
    return names


def _each(flag: str, parse: Callable[[str], T], texts: Iterable[str]) -> tuple[T, ...]:
    try:
        return tuple(dict.fromkeys(map(parse, texts)))
    except NameUnusableError as error:
        raise UsageError(f"{flag}: {error}") from None
