"""``vci-webhook serve``: answer reviews by what the cluster says, or by files without a cluster."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from webhook.cli.options import (
    CLIENT_NAMES,
    HOST,
    NAMESPACE,
    PORT,
    SECONDS,
    SERVICE,
    option,
    profile_options,
)
from webhook.cli.tuning import limit_options, log_options
from webhook.errors import SettingsError
from webhook.files import read_file
from webhook.log import configure_logging, fields
from webhook.manifests import namespaces_from_manifests, profile_from_manifest
from webhook.metrics import Metrics
from webhook.port import bind
from webhook.problems import Problem
from webhook.profile import Profile
from webhook.server import WebhookServer, raise_files_limit, run_process, take_first_signals
from webhook.settings import SERVICE_NAME, Settings, both, flag
from webhook.state import Fixed, Snapshot, Source, State
from webhook.tls_pair import TlsFiles
from webhook.tls_reload import ServingCertificate
from webhook.vci import SYSTEM_NAMESPACES


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the state comes from, and whether that is the cluster that we are a Pod of."""

    open_source: Callable[[Metrics], Source]
    in_pod: bool = False


_FILE = click.Path(path_type=Path)
_FILES = {
    "profile": "name the manifest of the profile's ConfigMap",
    "namespaces": "name a file with the manifests of the Namespaces",
}

logger = logging.getLogger("webhook")


@click.command(short_help="Answer AdmissionReviews.")
@option("--tls-dir", type=_FILE, metavar="DIR", help="Directory with tls.crt and tls.key.")
@option(
    "--kubeconfig",
    metavar="FILE",
    help="Kubeconfig of the cluster; else KUBECONFIG, else that of the Pod.",
)
@option("--profile", type=_FILE, metavar="FILE", help="Instead of a cluster: the ConfigMap.")
@option("--namespaces", type=_FILE, metavar="FILE", help="Instead of a cluster: Namespaces.")
@option("--host", type=HOST, default=Settings.host, help="Address to listen on.")
@option("--port", type=PORT, default=Settings.port, help="Port for reviews, over TLS.")
@option(
    "--management-port",
    type=PORT,
    default=Settings.management_port,
    help="Port for /healthz and /readyz, plain HTTP.",
)
@profile_options
@option(
    "--own-namespace",
    type=NAMESPACE,
    default=Settings.own_namespace,
    help="The webhook's own namespace, whose Pods are never touched.",
)
@option(
    "--service-name",
    type=SERVICE,
    help="Service that the certificate must be for; in a Pod "
    f'"{SERVICE_NAME}" unless told, else any will do.',
)
@option(
    "--client-ca",
    type=_FILE,
    metavar="FILE",
    help="Serve only clients with a certificate of this CA.",
)
@option(
    "--client-name",
    type=CLIENT_NAMES,
    metavar="NAME,…",
    help="Of these, only clients whose certificate has one of these names.",
)
@option(
    "--drain-seconds",
    type=SECONDS,
    default=Settings.drain_seconds,
    help="After SIGTERM, time for callers to go elsewhere; SIGINT does not wait.",
)
@limit_options
@log_options
def serve(**flags: Any) -> None:
    """Answer AdmissionReviews at POST /mutate by the profile and the namespaces of a cluster."""
    take_first_signals()
    settings = _read_settings(flags)
    if settings.profile is None or settings.namespaces is None:
        origin = _use_cluster(settings)
    else:
        origin = _use_files(settings, settings.profile, settings.namespaces)
    metrics = Metrics()
    certificate = _load_certificate(settings, metrics, in_pod=origin.in_pod)
    with (
        bind(settings.host, settings.port, "port") as tls_socket,
        bind(settings.host, settings.management_port, "management_port") as management_socket,
    ):
        configure_logging(
            settings.log_format, settings.log_level
        )  # all is usable: from here on there is a log
        raise_files_limit(settings.max_connections)
        source = origin.open_source(metrics)
        certificate.tell()
        sockets = tls_socket, management_socket
        run_process(WebhookServer(source, certificate, sockets, settings.limits, metrics))


def _load_certificate(settings: Settings, metrics: Metrics, *, in_pod: bool) -> ServingCertificate:
    """Read the certificate; in a Pod it need not be there yet: somebody has to sign it first."""
    host, clients = settings.service_host(in_pod=in_pod), settings.client_name or frozenset()
    files = TlsFiles(settings.tls_dir, host, settings.client_ca, clients)
    certificate = ServingCertificate(files, metrics)
    certificate.load(wait=in_pod)
    return certificate


def _read_settings(flags: dict[str, Any]) -> Settings:
    """Make the settings of the flags; a person who forgot one is told which."""
    _check_source(flags)
    if flags["tls_dir"] is None:
        raise SettingsError(
            f"{both('tls_dir')}: missing; name the directory that holds tls.crt and tls.key"
        )
    if flags["client_name"] and flags["client_ca"] is None:
        raise SettingsError(
            f"{both('client_ca')}: missing; name the CA that vouches for {flag('client_name')}"
        )
    settings = Settings(**flags)
    if settings.port == settings.management_port != 0:
        raise SettingsError(
            f"{both('management_port')}: {settings.port} is the port for reviews too; give another"
        )
    return settings


def _check_source(flags: dict[str, Any]) -> None:
    """Tell a cluster from files: what is not clearly one of them is nothing to guess about."""
    given = {field for field in _FILES if flags[field] is not None}
    if not given:
        return
    if flags["kubeconfig"] is not None:
        raise SettingsError(
            f"{both('kubeconfig')}: not of use with {flag(min(given))}; give a cluster, or files"
        )
    for field in _FILES.keys() - given:
        raise SettingsError(
            f"{both(field)}: missing; {_FILES[field]}, or leave {flag(min(given))} out "
            "to follow the cluster"
        )


def _use_cluster(settings: Settings) -> _Origin:
    """Find the cluster's API server; it need not be there yet."""
    from webhook.cluster import Following  # noqa: PLC0415 - costs 20 MB and a while, with files too
    from webhook.kube import Cluster  # noqa: PLC0415 - the same

    cluster = Cluster(settings.kubeconfig)
    address = asyncio.run(cluster.check())

    def follow(metrics: Metrics) -> Source:
        name = settings.profile_namespace, settings.profile_name
        logger.info("following", extra=fields(cluster=address, profile="/".join(name)))
        return Following(cluster, _state(settings), name, metrics)

    return _Origin(follow, cluster.from_pod)


def _use_files(settings: Settings, profile_file: Path, namespaces_file: Path) -> _Origin:
    """Read the files, once and for all."""
    profile, problems = profile_from_manifest(
        read_file(profile_file, both("profile")),
        f"{both('profile')}: {profile_file}",
        settings.profile_name,
        settings.profile_namespace,
    )
    namespaces = namespaces_from_manifests(
        read_file(namespaces_file, both("namespaces")), f"{both('namespaces')}: {namespaces_file}"
    )

    def read(metrics: Metrics) -> Source:
        _log_profile(settings, profile, problems)
        logger.info("namespaces read", extra=fields(count=len(namespaces)))
        metrics.profile_active(profile)
        errors = sum(problem.severity == "error" for problem in problems)
        metrics.profile_read(errors, len(problems) - errors, rejected=False)
        metrics.namespaces_known(len(namespaces))
        return Fixed(_state(settings, profile=profile, namespaces=namespaces))

    return _Origin(read)


def _state(settings: Settings, **known: Any) -> State:
    """Make the state to begin with."""
    excluded = SYSTEM_NAMESPACES | {settings.own_namespace}
    profile_object = settings.profile_namespace, settings.profile_name
    snapshot = Snapshot(excluded_namespaces=excluded, profile_object=profile_object, **known)
    return State(snapshot)


def _log_profile(settings: Settings, profile: Profile, problems: tuple[Problem, ...]) -> None:
    """Say which rules act, and everything that is wrong with the profile, each in a line."""
    name = f"{settings.profile_namespace}/{settings.profile_name}"
    logger.info(
        "profile read", extra=fields(name=name, version=profile.version, rules=len(profile.rules))
    )
    for problem in problems:
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        logger.log(level, "profile %s@%s: %s", name, profile.version, problem)
