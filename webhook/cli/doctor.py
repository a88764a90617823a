"""``vci-webhook doctor``: tell whether certificates and configurations agree, and what to do."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import click

from webhook.cli.options import NAMESPACE, OBJECT_NAME, Kind, option, profile_options
from webhook.observed import MODES, Mode, Names, Observed
from webhook.settings import SERVICE_NAME, Settings

_OUTPUTS = ("text", "json")
_LARGEST_PORT = 65535
_SERVER = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:]+)\]|(?P<host>[^\s/:\[\]]+)):(?P<port>[0-9]{1,5})")


def _read_server(text: str) -> tuple[str, int]:
    found = _SERVER.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= _LARGEST_PORT:
        raise ValueError
    return found["v6"] or found["host"], int(found["port"])


def _one_of(*words: str) -> Kind:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind("|".join(words), read, f"known here; give one of {', '.join(words)}")


@click.command(
    no_args_is_help=False,
    epilog="Exit status: 0 nothing is wrong, 1 errors (with --strict also warnings and what is not "
    "known), 2 unusable input. The JSON has status, certificates, errors, warnings, unknown, and "
    "rows: a list, each with severity (ok, note, unknown, warning, error), what, finding, remedy "
    "and command (both null when there is nothing to do).",
)
@option(
    "--kubeconfig",
    metavar="FILE",
    help="Kubeconfig of the cluster; else KUBECONFIG, else that of the Pod or of kubectl.",
)
@option(
    "--tls-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Judge this mounted pair, too; as inside of a Pod.",
)
@option(
    "--server",
    multiple=True,
    type=Kind("host:port", _read_server, "a server; give HOST:PORT, an IPv6 address in brackets"),
    help="Judge what this server presents, instead of the Service's Pods; can be repeated.",
)
@option(
    "--certificates",
    type=_one_of(*MODES),
    metavar="|".join(MODES),
    help="Who issues the certificates; else told from what is there.",
)
@option(
    "--own-namespace",
    type=NAMESPACE,
    default=Settings.own_namespace,
    help="The webhook's own namespace, with its Service and its Secrets.",
)
@option(
    "--service-name",
    type=NAMESPACE,
    metavar="NAME",
    default=SERVICE_NAME,
    help="Its Service, after which all else is named unless told.",
)
@option("--ca-secret", type=OBJECT_NAME, help="Secret with the CA; else SERVICE-NAME-ca.")
@option("--tls-secret", type=OBJECT_NAME, help="Secret with the pair; else SERVICE-NAME-tls.")
@option(
    "--webhook-configuration",
    type=OBJECT_NAME,
    help="The MutatingWebhookConfiguration that calls it; else SERVICE-NAME.",
)
@option(
    "--validating-configuration",
    type=OBJECT_NAME,
    help="The ValidatingWebhookConfiguration that calls it; else SERVICE-NAME.",
)
@option(
    "--output",
    type=_one_of(*_OUTPUTS),
    metavar="text|json",
    default="text",
    help="text for a person, json for a machine.",
)
@option("--strict", is_flag=True, help="Fail on warnings and on what is not known, too.")
@profile_options
def doctor(output: str, certificates: Mode | None, *, strict: bool, **flags: Any) -> int:
    """Tell whether all that it takes to be called agrees, and what to do about what does not.

    Looks at both webhook configurations, Service, Secrets, profile, and at the certificate that
    is presented; changes nothing. examples/rbac-doctor.yaml has the rights that it takes.
    """
    from webhook.cli.report import print_report, status_of, write_json  # noqa: PLC0415 - only here
    from webhook.diagnosis import diagnose  # noqa: PLC0415 - 20 MB with what it judges by

    diagnosis = diagnose(asyncio.run(_observe(_names(flags), flags)), certificates)
    status = status_of(diagnosis, strict=strict)
    if output == "json":
        click.echo(write_json(diagnosis, status))
    else:
        print_report(diagnosis)
    return status


def _names(flags: dict[str, Any]) -> Names:
    return Names.of(
        flags["service_name"],
        flags["own_namespace"],
        mutating=flags["webhook_configuration"],
        validating=flags["validating_configuration"],
        profile_namespace=flags["profile_namespace"],
        profile_name=flags["profile_name"],
        ca_secret=flags["ca_secret"],
        tls_secret=flags["tls_secret"],
    )


async def _observe(names: Names, flags: dict[str, Any]) -> Observed:
    """Look at everything with the credentials that kubectl would use, or those of the Pod."""
    from webhook.cli.in_cluster import kubectls_own  # noqa: PLC0415 - 20 MB, for this only
    from webhook.examine import Examination  # noqa: PLC0415 - the same
    from webhook.kube import Cluster, Connection  # noqa: PLC0415 - the same

    cluster = Cluster(flags["kubeconfig"] or kubectls_own(os.environ))
    await cluster.check()
    connection = Connection(cluster)
    servers = [(host, port, names.host) for host, port in flags["server"]]
    try:
        return await Examination(connection, names, servers, flags["tls_dir"]).observe()
    finally:
        await connection.close()
