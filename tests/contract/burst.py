"""``python -m tests.contract.burst URL CA COUNT``: so many reviews at once, on new connections.

A process of its own, as API servers are: prints status and seconds of each as JSON.
"""

import asyncio
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

import uvloop

from tests.contract.client import trusting
from tests.contract.reviews import encoded


async def ask(url: str, context: ssl.SSLContext, body: bytes) -> tuple[int, float]:
    """Dial, shake hands, ask; status 0 when that came to nothing."""
    address = urlsplit(url)
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port, ssl=context, server_hostname="localhost"
        )
        head = (
            f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = int((await reader.readline()).split(b" ")[1])
        writer.transport.abort()
    except (OSError, IndexError):
        status = 0
    return status, time.monotonic() - started


async def burst(url: str, ca: str, count: int) -> list[tuple[int, float]]:
    """Ask all at once."""
    context, body = trusting(ca), encoded()
    return await asyncio.gather(*(ask(url, context, body) for _ in range(count)))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(burst(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
