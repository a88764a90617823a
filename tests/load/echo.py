"""A bare ASGI application under the webhook's uvicorn settings: what answering alone costs.

``python -m tests.load.echo TLS_DIR ANSWER_BYTES`` prints its port, reads each body and answers a
constant.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

from webhook.server import bind, uvicorn_config
from webhook.tls import load_serving_context


class Echo:
    """Reads each body to its end and answers always the same."""

    def __init__(self, size: int) -> None:
        self._body = b"x" * size
        self._headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(size).encode()),
        ]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def main(tls_dir: str, answer_bytes: str) -> None:
    """Serve until killed."""
    context = load_serving_context(Path(tls_dir), "echo", datetime.now(UTC))
    config = uvicorn_config(Echo(int(answer_bytes)), context)
    config.http = "httptools"  # uvicorn's own protocol, without ours on top
    config.loop = "uvloop"
    with bind("127.0.0.1", 0, "port") as sock:
        sys.stdout.write(f"{sock.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main(*sys.argv[1:])
