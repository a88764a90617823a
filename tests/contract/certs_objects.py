"""Objects as an API server has them when all is well with the certificates, and a kubeconfig."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from certs.observed import Configuration, Observed, Secret
from certs.parameters import Parameters
from certs.perform import apply, perform
from certs.plan import plan
from tests.contract.api_server import Answer, ScriptedApiServer

PARAMETERS = Parameters()
MUTATING, VALIDATING = PARAMETERS.configurations
SECRETS = "/api/v1/namespaces/vci-webhook/secrets"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PATHS = {
    PARAMETERS.ca: f"{SECRETS}/vci-webhook-ca",
    PARAMETERS.serving: f"{SECRETS}/vci-webhook-tls",
    MUTATING: f"{ADMISSION}/mutatingwebhookconfigurations/vci-webhook",
    VALIDATING: f"{ADMISSION}/validatingwebhookconfigurations/vci-webhook",
}
CA, SERVING, MUTATING_PATH, VALIDATING_PATH = PATHS.values()


@dataclass(frozen=True)
class Good:
    """Everything as it should be, in JSON."""

    ca: dict[str, Any]
    serving: dict[str, Any]
    mutating: dict[str, Any]
    validating: dict[str, Any]

    @property
    def unnoted(self) -> dict[str, Any]:
        """Give the CA Secret before anybody noted that its CA is published."""
        metadata = self.ca["metadata"]
        annotations = {**metadata["annotations"], "vci-webhook/seen-since": "{}"}
        return {**self.ca, "metadata": {**metadata, "annotations": annotations}}

    def script(self, api: ScriptedApiServer) -> None:
        """Have the API server answer with it."""
        objects = (self.ca, self.serving, self.mutating, self.validating)
        for path, value in zip(PATHS.values(), objects, strict=True):
            api.script(f"GET {path}", answer(value))
        for path in (
            SECRETS,
            *(each.rpartition("/")[0] for each in (MUTATING_PATH, VALIDATING_PATH)),
        ):
            api.script(f"GET {path}", Answer(then="live"))


def answer(value: Mapping[str, Any]) -> Answer:
    return Answer(pieces=(json.dumps(value).encode(),))


def good() -> Good:
    """Make what a first pass leaves behind."""
    now = datetime.now(UTC).replace(microsecond=0)
    there = Configuration("1", (b"",))
    observed = Observed(configurations={MUTATING: there, VALIDATING: there})
    while steps := plan(observed, now, PARAMETERS).steps:
        observed = apply(observed, perform(steps[0], observed, now, PARAMETERS))
    configurations = [_configuration(each) for each in observed.configurations.values() if each]
    assert observed.ca
    assert observed.serving
    return Good(_secret(observed.ca), _secret(observed.serving), *configurations)


def without_bundle(configuration: dict[str, Any]) -> dict[str, Any]:
    """Empty the bundle of a configuration."""
    return {**configuration, "webhooks": [{"clientConfig": {}}]}


def _secret(secret: Secret) -> dict[str, Any]:
    metadata = {"resourceVersion": "7", "annotations": dict(secret.annotations)}
    data = {key: base64.b64encode(content).decode() for key, content in secret.data.items()}
    return {"metadata": metadata, "type": secret.type, "data": data}


def _configuration(found: Configuration) -> dict[str, Any]:
    bundle = base64.b64encode(found.bundles[0]).decode()
    return {
        "metadata": {"resourceVersion": "8"},
        "webhooks": [{"clientConfig": {"caBundle": bundle}}],
    }


def write_kubeconfig(api: ScriptedApiServer, folder: Path, token: str = "t") -> Path:  # noqa: S107 - a test's
    """Write a kubeconfig for a scripted API server."""
    server = {
        "server": f"https://127.0.0.1:{api.port}",
        "certificate-authority": str(api.service_account / "ca.crt"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "certs", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "certs"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path
