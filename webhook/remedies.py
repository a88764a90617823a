"""What a person does about each thing that is wrong: a sentence, and the command where one does it.

Who repairs a certificate depends on who issues them: the certs program, cert-manager, a person.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from webhook.observed import Configuration, Mode, Names

INJECT = "cert-manager.io/inject-ca-from"
CERTIFICATE_NAME = "cert-manager.io/certificate-name"
_ENSURE_FLAGS = {
    "namespace": "namespace",
    "service": "service",
    "ca-secret": "ca_secret",
    "serving-secret": "tls_secret",
    "mutating": "mutating",
    "validating": "validating",
}
RELEASE_NAME = "meta.helm.sh/release-name"  # annotations that Helm writes on what it installs
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
CHART = "charts/vci-webhook"
RIGHTS = "examples/rbac-doctor.yaml"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, and the command that does it; either may be empty."""

    text: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Remedies:
    """The remedies of one installation."""

    names: Names
    mode: Mode
    certificate: str = ""  # cert-manager's Certificate, where the Secret names it
    release: tuple[str, str] | None = None  # name and namespace, where Helm installed it
    absent: bool = False  # there is nothing of these names
    elsewhere: tuple[str, str] | None = None  # the Service that is called, where ours is not seen
    unshared: bool = False  # no Secret has the CA besides the pair

    def reissue(self) -> Remedy:
        """Have another serving certificate."""
        names = self.names
        if self.mode == "self":
            return self._ensure()
        secret = f"secret {names.tls_secret} --namespace {names.namespace}"
        if self.mode == "certManager":
            return Remedy("have cert-manager issue another", f"kubectl delete {secret}")
        return Remedy(
            f"where tls.crt, tls.key and ca.crt of a pair for {names.host} are (python -m certs "
            f"issue --dir . --dns {names.host} makes them)",
            f"kubectl create {secret.replace(' ', ' generic ', 1)} --type kubernetes.io/tls "
            "--from-file tls.crt --from-file tls.key --from-file ca.crt --dry-run=client "
            "--output yaml | kubectl apply --filename -",
        )

    def issue(self) -> Remedy:
        """Have a serving certificate where there is none."""
        names = self.names
        if self.mode != "certManager":
            return self.reissue()
        return Remedy(
            "see why cert-manager does not issue it",
            f"kubectl describe certificate {self.certificate or names.service} "
            f"--namespace {names.namespace}",
        )

    def publish(self, configuration: Configuration, index: int) -> Remedy:
        """Have the bundle in an entry of a configuration again."""
        if self.mode == "self":
            return self._ensure()
        if self.mode == "certManager":
            return self._inject(configuration)
        names, todo = self.names, "put the CA of the certificate there"
        if self.release is not None:
            todo += ", and into the value certificates.provided.caBundle for the next helm upgrade"
        if self.unshared:
            return Remedy(todo)
        secret = (
            f"$(kubectl get secret {names.tls_secret} --namespace {names.namespace} "
            r"--output jsonpath='{.data.ca\.crt}')"
        )
        path = f"/webhooks/{index}/clientConfig/caBundle"
        patch = f'[{{\\"op\\":\\"add\\",\\"path\\":\\"{path}\\",\\"value\\":\\"{secret}\\"}}]'
        return Remedy(
            f"{todo}; when it is ca.crt in Secret {names.tls_secret}",
            f'{_patch(configuration)} --patch "{patch}"',
        )

    def point(self, configuration: Configuration, index: int, path: str) -> Remedy:
        """Have an entry call our Service, unless it is the other that is meant."""
        names = self.names
        if self.elsewhere is not None:
            return self._look_there(*self.elsewhere)
        service = {"namespace": names.namespace, "name": names.service, "path": path, "port": 443}
        operation = {
            "op": "add",
            "path": f"/webhooks/{index}/clientConfig/service",
            "value": service,
        }
        patch = json.dumps([operation], separators=(",", ":"))
        return Remedy("have it call the Service", f"{_patch(configuration)} --patch '{patch}'")

    def restart(self) -> Remedy:
        """Have servers that read their certificate anew."""
        return Remedy(
            "the kubelet and the server take two minutes at most to follow the Secret; after that",
            f"kubectl rollout restart deployment {self.names.service} "
            f"--namespace {self.names.namespace}",
        )

    def reach(self) -> Remedy:
        """Have a server that can be reached from here."""
        names = self.names
        return Remedy(
            "forward a port in another terminal, and add --server 127.0.0.1:8443",
            f"kubectl port-forward --namespace {names.namespace} service/{names.service} 8443:443",
        )

    def watch_program(self) -> Remedy:
        """Have the certs program run."""
        deployment = f"deployment/{self.names.program} --namespace {self.names.namespace}"
        return Remedy("see why it does not run", f"kubectl logs {deployment}")

    def stop_program(self) -> Remedy:
        """Have the certs program stop."""
        deployment = f"deployment {self.names.program} --namespace {self.names.namespace}"
        command = f"kubectl scale {deployment} --replicas 0"
        return Remedy("do not install it together with that; until then", command)

    def install(self) -> Remedy:
        """Have an object again that belongs to the installation."""
        if self.elsewhere is not None:
            return self._look_there(*self.elsewhere)
        if self.absent:
            return Remedy(
                "install it, or say where it is and what its Service is called: --own-namespace, "
                "--service-name"
            )
        if self.release is None:
            return Remedy("install it again, as it was installed first")
        name, namespace = self.release
        return Remedy(
            "have Helm write it again, from the chart and with the values that were used",
            f"helm upgrade {name} {CHART} --namespace {namespace} --reset-then-reuse-values",
        )

    def _look_there(self, namespace: str, service: str) -> Remedy:
        return Remedy(
            "it seems to be installed where the API server calls; look there",
            f"vci-webhook doctor --own-namespace {namespace} --service-name {service}",
        )

    def _ensure(self) -> Remedy:
        return Remedy(
            "the certs program repairs it in half a minute where it runs; by hand",
            f"python -m certs ensure{_flags(self.names, _ENSURE_FLAGS, Names())}",
        )

    def _inject(self, configuration: Configuration) -> Remedy:
        if not any(key.startswith(INJECT) for key in configuration.annotations):
            value = f"{self.names.namespace}/{self.certificate or self.names.service}"
            return Remedy(
                "have cert-manager's cainjector write it",
                f"kubectl annotate {configuration.kind.lower()} {configuration.name} "
                f"{INJECT}={value}",
            )
        return Remedy(
            "cert-manager's cainjector writes it; see why it does not",
            "kubectl logs deployment/cert-manager-cainjector --namespace cert-manager --tail 50",
        )


def check_flags(names: Names) -> str:
    """Name, for ``vci-webhook check``, what is not called as usual."""
    fields = {
        "own-namespace": "namespace",
        "service-name": "service",
        "webhook-configuration": "mutating",
        "profile-namespace": "profile_namespace",
        "profile-name": "profile_name",
    }
    return _flags(names, fields, Names(mutating=names.service))


def _flags(names: Names, fields: Mapping[str, str], usual: Names) -> str:
    """Write the flags for what is not called as it would be without them."""
    own = {flag: getattr(names, field) for flag, field in fields.items()}
    return "".join(
        f" --{flag} {name}" for flag, name in own.items() if name != getattr(usual, fields[flag])
    )


def grant(right: str) -> Remedy:
    """Have a right that is missing."""
    return Remedy(f"needs the right to {right}; {RIGHTS} grants it")


def _patch(configuration: Configuration) -> str:
    return f"kubectl patch {configuration.kind.lower()} {configuration.name} --type json"
