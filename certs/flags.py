"""The flags of ``ensure`` and ``run``, each also an environment variable, and what they may be."""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, TypeVar

from certs.durations import parse_duration, write_duration
from certs.errors import UsageError, quoted
from certs.parameters import Parameters

ENVIRONMENT_PREFIX = "VCI_WEBHOOK_CERTS_"
LOG_FORMATS = ("text", "json")

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NAME_LIMIT = 253
_PORT_LIMIT = 65535
_EARLIEST, _LATEST = 0.1, 0.95

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the program itself runs."""

    kubeconfig: str | None = None
    interval: timedelta = timedelta(seconds=30)
    host: str = "127.0.0.1"
    port: int = 8080
    log_format: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag, how its text is read, and what it is for."""

    name: str
    parse: Callable[[str], Any]
    help: str
    metavar: str

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def both(self) -> str:
        """Name it in an error, where either of the two may have been used."""
        return f"--{self.name} ({self.variable})"


def parse_label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f"{quoted(text)} is not a name; use up to 63 of a-z, 0-9 and -, as in vci-webhook"
        )
    return text


def parse_name(text: str) -> str:
    if len(text) > _NAME_LIMIT or not all(map(_LABEL.fullmatch, text.split("."))):
        raise ValueError(f"{quoted(text)} is not an object's name; give one as in vci-webhook")
    return text


def parse_names(text: str) -> tuple[str, ...]:
    """Read names with commas between them; none at all is fine."""
    return tuple(dict.fromkeys(parse_name(each.strip()) for each in text.split(",") if each))


def parse_fraction(text: str) -> float:
    try:
        fraction = float(text)
    except ValueError:
        fraction = 0
    if not _EARLIEST <= fraction <= _LATEST:
        raise ValueError(
            f"{quoted(text)} is not a part of a life from {_EARLIEST} to {_LATEST}; give 0.67"
        )
    return fraction


def parse_interval(text: str) -> timedelta:
    interval = parse_duration(text)
    if interval < timedelta(seconds=1):
        raise ValueError(f"{quoted(text)} is less than a second; give more")
    return interval


def parse_port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > _PORT_LIMIT:
        raise ValueError(f"{quoted(text)} is not a port; give a number up to {_PORT_LIMIT}")
    return int(text)


def parse_log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise ValueError(f"{quoted(text)} is not a format; give text or json")
    return text


def parse_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; give a value, or leave it out")
    return text


WHAT = (
    Flag("namespace", parse_label, "namespace of the Service and the Secrets", "NAME"),
    Flag("service", parse_label, "Service of the webhook", "NAME"),
    Flag("ca-secret", parse_name, "Secret for the CAs and their keys", "NAME"),
    Flag("serving-secret", parse_name, "Secret for the serving certificate and its key", "NAME"),
    Flag("mutating", parse_names, "MutatingWebhookConfigurations of the webhook", "NAME[,NAME]"),
    Flag("validating", parse_names, "ValidatingWebhookConfigurations", "NAME[,NAME]"),
    Flag("ca-lifetime", parse_duration, "for how long a CA is valid", "TIME"),
    Flag("serving-lifetime", parse_duration, "for how long a serving certificate is", "TIME"),
    Flag("renew-at", parse_fraction, "the part of its life after which each is renewed", "PART"),
    Flag("publish-wait", parse_duration, "how long a new CA is published before it signs", "TIME"),
    Flag("clock-skew", parse_duration, "how wrong clocks in the cluster may be", "TIME"),
)
KUBECONFIG = Flag("kubeconfig", parse_text, "kubeconfig; else KUBECONFIG, else the Pod's", "FILE")
ENSURE = (*WHAT, KUBECONFIG)
RUN_INTERVAL = Flag("interval", parse_interval, "time between two full passes", "TIME")
RUN = (
    *ENSURE,
    RUN_INTERVAL,
    Flag("host", parse_text, "address for /healthz, /readyz and /metrics", "ADDRESS"),
    Flag("port", parse_port, "their port", "PORT"),
    Flag("log-format", parse_log_format, "text or json; text on a terminal", "FORMAT"),
)


def add_flags(parser: argparse.ArgumentParser, flags: tuple[Flag, ...]) -> None:
    """Add flags that are read later, together with the environment; a list can be repeated."""
    defaults = {**_defaults(Parameters()), **_defaults(Settings())}
    for flag in flags:
        default = defaults[flag.field]
        parser.add_argument(
            f"--{flag.name}",
            action="append",
            metavar=flag.metavar,
            help=flag.help + (f" (default: {_show(default)})" if default is not None else ""),
        )


def _defaults(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, timedelta):
        return write_duration(value)
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def read_flags(
    options: argparse.Namespace, flags: tuple[Flag, ...], environment: Mapping[str, str]
) -> tuple[Parameters, Settings]:
    """Read what was given; UsageError names the flag and its variable."""
    given: dict[str, Any] = {}
    for flag in flags:
        texts = getattr(options, flag.field)
        if texts is None and flag.variable in environment:
            texts = [environment[flag.variable]]
        if texts is not None:
            given[flag.field] = _read(flag, texts)
    parameters = Parameters(**{name: given[name] for name in given if name in _PARAMETERS})
    settings = Settings(**{name: given[name] for name in given if name not in _PARAMETERS})
    interval = settings.interval if RUN_INTERVAL in flags else timedelta()
    _check(parameters, interval)
    return parameters, settings


_PARAMETERS = {field.name for field in fields(Parameters)}


def _read(flag: Flag, texts: list[str]) -> Any:
    try:
        return flag.parse(",".join(texts) if flag.parse is parse_names else texts[-1])
    except ValueError as error:
        raise UsageError(f"{flag.both}: {error}") from None


def _check(parameters: Parameters, interval: timedelta) -> None:
    """Refuse what could never work: each wait must fit into what is left of a life."""
    rest = 1 - parameters.renew_at
    if parameters.ca_secret == parameters.serving_secret:
        raise UsageError("--ca-secret: is --serving-secret too; give each a name of its own")
    if not parameters.configurations:
        raise UsageError("--mutating and --validating: no name given; name a configuration")
    if parameters.serving_lifetime * rest < parameters.publish_wait + 2 * interval:
        raise UsageError(
            "--serving-lifetime: what is left of it after --renew-at is less than --publish-wait"
            " and two times --interval; give more"
        )
    if parameters.ca_lifetime * rest < parameters.serving_lifetime + parameters.publish_wait:
        raise UsageError(
            "--ca-lifetime: what is left of it after --renew-at is less than --serving-lifetime"
            " and --publish-wait; give more"
        )
