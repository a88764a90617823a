"""HTTP/1.1 of one connection: uvicorn's, with an end for peers that keep a closed one alive."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Closing TLS waits for the peer's goodbye, and reads whatever it sends instead for half a minute.
CLOSE_SECONDS = 1.0

_NOT_HTTP = b'{"error": "not a request of HTTP/1.1; send one"}'
_NOT_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: application/json\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n\r\n"
    b"%b"
) % (len(_NOT_HTTP), _NOT_HTTP)


class ConnectionProtocol(HttpToolsProtocol):
    """A connection that is closed is gone a moment later, whatever its peer still sends."""

    def on_response_complete(self) -> None:
        """Go on to the next request, or see the connection end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_soon()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, not ours
        """Answer what is not HTTP, and end."""
        self.transport.write(_NOT_HTTP_ANSWER)
        self.transport.close()
        self._abort_soon()

    def shutdown(self) -> None:
        """Close an idle connection, let a busy one give its answer."""
        super().shutdown()
        if self.transport.is_closing():
            self._abort_soon()

    def _abort_soon(self) -> None:
        """Let the answer get out, then break the connection if it still exists."""
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
