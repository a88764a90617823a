"""Serves the newest good certificate of a directory: no restart, no connection closed for it.

The listener has one context for as long as it lives. It has no certificate itself: in each new
handshake it hands over to the context of the certificate that is served at this moment. Connections
keep the one that they began with, and it is gone with the last of them. Tickets are the listener's,
so a session that began under one certificate is resumed under the next.

The directory is read, not watched: two small files in memory, once a second. That sees whatever is
there in the end, by whatever means it came, and needs nothing of the file system.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from webhook.certificates import names_of, why_not_now
from webhook.errors import SettingsError
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.tls import Serving, load_serving, new_context
from webhook.tls_pair import CERTIFICATE_FILE, Material, TlsFiles

POLL_SECONDS = 1.0
# Files that were written one after the other are not judged before they were the same twice.
SETTLE_SECONDS = 0.2
BUG_SECONDS = 10.0
_NAMES_SHOWN = 5

logger = logging.getLogger("webhook")


def utc_now() -> datetime:
    return datetime.now(UTC)


class ServingCertificate:
    """The certificate of the port for reviews, kept up to date."""

    def __init__(
        self,
        files: TlsFiles,
        metrics: Metrics,
        clock: Callable[[], datetime] = utc_now,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.context = new_context(require_client=files.client_ca is not None)
        self.context.sni_callback = self._hand_over
        self.client_names = files.client_names
        self._files = files
        self._metrics = metrics
        self._clock = clock
        self._poll_seconds = poll_seconds
        self.serving: Serving | None = None
        self._seen: Material | str | None = None  # at the last look; a str says why not
        self._problem = ""  # that has been told

    @property
    def why_unusable(self) -> str:
        """Say why no API server would accept what is served; empty when there is no reason."""
        if self.serving is None:
            return f"no certificate: {self._problem or 'not read yet'}"
        return self._overdue()

    def load(self, *, wait: bool = False) -> None:
        """Read the directory for the first time; SettingsError when there is no usable pair.

        With ``wait`` that is told by the log and the probe instead, until there is one. But a
        directory that is not there has been named wrongly, and nobody will make it.
        """
        try:
            self._swap(load_serving(self._files, self._files.read(), self._clock()))
        except SettingsError:
            if not (wait and self._files.directory.is_dir()):
                raise

    async def run(self) -> None:
        """Follow the directory for ever."""
        while True:
            try:
                seconds = self.look()
            except Exception:  # a bug of ours; the certificate that is served is still good
                logger.exception("certificate not read")
                seconds = BUG_SECONDS
            await asyncio.sleep(seconds)

    def look(self) -> float:
        """Look once at what is there, and say in how many seconds to look again."""
        seen, self._seen = self._seen, self._read()
        if self._seen != seen:
            return min(SETTLE_SECONDS, self._poll_seconds)
        if isinstance(self._seen, str):
            self._reject(self._seen)
        elif self.serving is None or self._seen != self.serving.material:
            self._judge(self._seen)
        else:
            self._keep()
        return self._poll_seconds

    def _read(self) -> Material | str:
        try:
            return self._files.read()
        except SettingsError as error:
            return str(error)

    def _judge(self, material: Material) -> None:
        """Serve a pair that is new, or say why not; if it changes meanwhile, do neither."""
        try:
            serving = load_serving(self._files, material, self._clock())
        except SettingsError as error:
            if self._read() == material:
                self._reject(str(error))
        else:
            if self._read() == material:
                self._swap(serving)
                self.tell()

    def _swap(self, serving: Serving) -> None:
        self.serving = serving
        self._problem = ""
        self._metrics.certificate_loaded(serving.leaf.not_valid_after_utc.timestamp())

    def _reject(self, problem: str) -> None:
        """Go on with what is served; each problem is told once."""
        if problem != self._problem:
            self._problem = problem
            self._metrics.certificate_rejected()
            serving = self.serving.expiry if self.serving else "none"
            logger.error("certificate rejected", extra=fields(problem=problem, serving=serving))

    def _keep(self) -> None:
        """Note that what is there is what is served; all that can be wrong with it is its age."""
        before, self._problem = self._problem, self._overdue()
        if self._problem == before:
            return
        self._metrics.certificate_kept()
        if self._problem:
            logger.error("certificate expired", extra=fields(problem=self._problem))
        else:
            self.tell()

    def tell(self) -> None:
        """Log which certificate is served."""
        if self.serving is not None:
            names = names_of(self.serving.leaf)[:_NAMES_SHOWN]
            serial = f"{self.serving.leaf.serial_number:x}"
            values = fields(names=names, serial=serial, expires=self.serving.expiry)
            logger.info("certificate loaded", extra=values)

    def _overdue(self) -> str:
        """Say that the certificate has expired while it was served."""
        why = why_not_now(self.serving.leaf, self._clock()) if self.serving else ""
        return f"{self._files.where}/{CERTIFICATE_FILE}: {why}; issue a new one" if why else ""

    def _hand_over(
        self, connection: ssl.SSLObject, _name: str | None, _listener: ssl.SSLContext
    ) -> int | None:
        """Let a handshake go on with the certificate of now, whatever name it asks for."""
        serving = self.serving
        if serving is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = serving.context
        return None
