"""The webhook in force with ``failurePolicy: Fail``, with certificates by the certificate program.

Its Pods are real processes, whose Secret reaches them as by a kubelet; creates go on all the while.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509

from tests.cluster.certifying import (
    NAME,
    SERVING_SECRET,
    Certifying,
    Program,
    grant_rights,
    write_kubeconfig,
)
from tests.cluster.client import ApiError
from tests.cluster.control_plane import Cluster
from tests.cluster.creating import Creates, creating, tell
from tests.cluster.deployed import Deployed, deployed, is_right
from tests.cluster.following import SOAK
from tests.cluster.node.agent import Agent
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod

RATE = 50.0
CREATES = 10_000 if SOAK else 0  # at least
# The kubelet brings a Secret within 2 s here, the server looks each second: both fit in easily.
LEAVES = (
    *("--mutating", NAME, "--validating", "", "--clock-skew", "1s", "--publish-wait", "2s"),
    *("--serving-lifetime", "60s" if SOAK else "20s", "--renew-at", "0.5"),
)
CAS = (*LEAVES, "--ca-lifetime", "130s" if SOAK else "50s")
# A life takes seconds where a processor has much to do, and a rotation takes seven of them.
SLOW = (
    *("--mutating", NAME, "--validating", "", "--publish-wait", "2s", "--renew-at", "0.5"),
    *("--serving-lifetime", "90s", "--ca-lifetime", "240s"),
)
OLDER, YOUNGER = ("--clock-skew", "120s"), ("--clock-skew", "1s")
EVERY_SECOND = ("--interval", "1s")
# Lifetimes as in real life, and a short wait: for what people do to objects.
LASTING = ("--mutating", NAME, "--validating", "", "--publish-wait", "2s")


@dataclass(slots=True)
class Rotating:
    """A webhook in force, and who looks after its certificates."""

    deployed: Deployed
    certs: Certifying
    namespace: str
    first: x509.Certificate  # of the operator's own, which stays for as long as its leaf would live

    @contextmanager
    def creating(self, what: str) -> Iterator[Creates]:
        """Create Pods until the block ends and there were enough, and print what came of it."""
        eventually(self.acts, "the webhook in force", 60)
        with creating(self.certs.admin, self.namespace, RATE, is_right) as creates:
            yield creates
            eventually(lambda: creates.total > RATE, "a second of creates", 30)
        tell(what, creates)

    def acts(self) -> bool:
        """Tell whether a create succeeds; before a test it may have been without a program."""
        try:
            return is_right(self.certs.admin.create(bare_pod(), self.namespace, "?dryRun=All"))
        except ApiError:
            return False

    @contextmanager
    def programs(self, *flags: str, count: int = 1) -> Iterator[list[Program]]:
        """Run so many programs at once until the block ends."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(self.certs.running(*flags, *EVERY_SECOND)) for _ in range(count)
            ]

    def age_ca(self) -> None:
        """Have a CA that is about to be replaced for who reckons with SLOW and YOUNGER."""
        before = self.signer()
        eventually(
            lambda: self.certs.ensure(*SLOW, *OLDER).returncode == 0 and self.signer() != before,
            "another CA",
            60,
        )

    def signer(self) -> set[bytes]:
        """Give the CA that signed the certificate in the Secret."""
        return {self.certs.secret(SERVING_SECRET).get("ca.crt", b"")}

    def serials(self) -> set[int]:
        """Give the serial number of the certificate in the Secret, while there is one."""
        content = self.certs.secret(SERVING_SECRET).get("tls.crt", b"")
        try:
            return {x509.load_pem_x509_certificate(content).serial_number}
        except ValueError:
            return set()

    def bundle(self) -> list[x509.Certificate]:
        """Give the CAs that the API server trusts."""
        return x509.load_pem_x509_certificates(self.certs.bundles()[0])


@contextmanager
def rotating(cluster: Cluster, node: Agent, namespace: str) -> Iterator[Rotating]:
    """Have the webhook in force, under certificates that the program has taken over."""
    grant_rights(cluster.admin)
    folder = Path(mkdtemp(prefix="rotating-", dir=cluster.plane.folder))
    kubeconfig = write_kubeconfig(cluster.plane, cluster.admin, folder)
    certs = Certifying(cluster.plane, cluster.admin, folder, kubeconfig)
    with deployed(cluster, node, namespace) as webhook:
        (first,) = x509.load_pem_x509_certificates(certs.bundles()[0])
        yield Rotating(webhook, certs, namespace, first)
    certs.uninstall()
