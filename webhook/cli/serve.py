"""``vci-webhook serve``: answer reviews from files, without a cluster."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from webhook.cli.options import (
    HOST,
    LOG_FORMAT,
    NAMESPACE,
    OBJECT_NAME,
    PORT,
    SECONDS,
    option,
)
from webhook.errors import SettingsError
from webhook.files import read_file
from webhook.log import configure_logging, fields
from webhook.manifests import namespaces_from_manifests, profile_from_manifest
from webhook.problems import Problem
from webhook.profile import Profile
from webhook.server import WebhookServer, bind, run_process
from webhook.settings import Settings, both
from webhook.state import Snapshot, State
from webhook.tls import load_serving_context
from webhook.vci import SYSTEM_NAMESPACES

_FILE = click.Path(path_type=Path)
# Without a value these flags will one day mean "watch the cluster"; until then each is needed.
_NEEDED = {
    "profile": "name the manifest of the profile's ConfigMap",
    "namespaces": "name a file with the manifests of the Namespaces",
    "tls_dir": "name the directory that holds tls.crt and tls.key",
}

logger = logging.getLogger("webhook")


@click.command(short_help="Answer AdmissionReviews.")
@option("--profile", type=_FILE, metavar="FILE", help="Manifest of the profile's ConfigMap.")
@option("--namespaces", type=_FILE, metavar="FILE", help="Manifests of the Namespaces.")
@option("--tls-dir", type=_FILE, metavar="DIR", help="Directory with tls.crt and tls.key.")
@option("--host", type=HOST, default=Settings.host, help="Address to listen on.")
@option("--port", type=PORT, default=Settings.port, help="Port for reviews, over TLS.")
@option(
    "--management-port",
    type=PORT,
    default=Settings.management_port,
    help="Port for /healthz and /readyz, plain HTTP.",
)
@option(
    "--profile-name",
    type=OBJECT_NAME,
    default=Settings.profile_name,
    help="Name of the profile's ConfigMap.",
)
@option(
    "--profile-namespace",
    type=NAMESPACE,
    default=Settings.profile_namespace,
    help="Namespace of the profile's ConfigMap.",
)
@option(
    "--own-namespace",
    type=NAMESPACE,
    default=Settings.own_namespace,
    help="The webhook's own namespace, whose Pods are never touched.",
)
@option(
    "--drain-seconds",
    type=SECONDS,
    default=Settings.drain_seconds,
    help="After SIGTERM, time for callers to go elsewhere; SIGINT does not wait.",
)
@option(
    "--log-format",
    type=LOG_FORMAT,
    metavar="text|json",
    help="How to log: text on a terminal, else json, unless told.",
)
def serve(**flags: Any) -> None:
    """Answer AdmissionReviews at POST /mutate by a profile and namespaces read from files."""
    settings = _read_settings(flags)
    profile, problems = _read_profile(settings)
    namespaces = _read_namespaces(settings)
    context = load_serving_context(settings.tls_dir, both("tls_dir"), datetime.now(UTC))
    with (
        bind(settings.host, settings.port, "port") as tls_socket,
        bind(settings.host, settings.management_port, "management_port") as management_socket,
    ):
        configure_logging(settings.log_format)  # all is usable: from here on there is a log
        _log_profile(settings, profile, problems)
        logger.info("namespaces read", extra=fields(count=len(namespaces)))
        excluded = SYSTEM_NAMESPACES | {settings.own_namespace}
        state = State(Snapshot(profile, namespaces, excluded))
        run_process(
            WebhookServer(state, context, tls_socket, management_socket, settings.drain_seconds)
        )


def _read_settings(flags: dict[str, Any]) -> Settings:
    """Make the settings of the flags; a person who forgot one is told which."""
    for field, advice in _NEEDED.items():
        if flags[field] is None:
            raise SettingsError(
                f"{both(field)}: missing; {advice} (following the cluster is not supported yet)"
            )
    settings = Settings(**flags)
    if settings.port == settings.management_port != 0:
        raise SettingsError(
            f"{both('management_port')}: {settings.port} is the port for reviews too; give another"
        )
    return settings


def _read_profile(settings: Settings) -> tuple[Profile, tuple[Problem, ...]]:
    """Read the profile's manifest."""
    return profile_from_manifest(
        read_file(settings.profile, both("profile")),
        f"{both('profile')}: {settings.profile}",
        settings.profile_name,
        settings.profile_namespace,
    )


def _read_namespaces(settings: Settings) -> dict[str, dict[str, str]]:
    """Read the namespaces' manifests."""
    return namespaces_from_manifests(
        read_file(settings.namespaces, both("namespaces")),
        f"{both('namespaces')}: {settings.namespaces}",
    )


def _log_profile(settings: Settings, profile: Profile, problems: tuple[Problem, ...]) -> None:
    """Say which rules act, and everything that is wrong with the profile, each in a line."""
    name = f"{settings.profile_namespace}/{settings.profile_name}"
    logger.info(
        "profile read", extra=fields(name=name, version=profile.version, rules=len(profile.rules))
    )
    for problem in problems:
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        logger.log(level, "profile %s@%s: %s", name, profile.version, problem)
