"""A bare ASGI application under uvicorn, with the same loop and parser: what answering alone costs.

``python -m tests.load.echo TLS_DIR ANSWER_BYTES`` prints its port, reads each body and answers a
constant. Nothing of the webhook's own server is in it.
"""

import socket
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

KEEP_ALIVE_SECONDS = 120
BACKLOG = 2048


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
    config = uvicorn.Config(
        Echo(int(answer_bytes)),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ssl_certfile=f"{tls_dir}/tls.crt",
        ssl_keyfile=f"{tls_dir}/tls.key",
    )
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as sock:
        sys.stdout.write(f"{sock.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main(*sys.argv[1:])
