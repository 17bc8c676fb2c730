"""A process that floods a service with bearers whose keys nobody knows, and prints how often it got which status.

python -m tests.faults.flood PORT ALIAS ISSUER AUDIENCE RATE SECONDS
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import sys
import time
from collections import Counter

CONNECTIONS = 16


def bearer(issuer: str, audience: str) -> str:
    """Well-formed, of today, with a key id of its own and a signature by nobody."""
    now = int(time.time())
    header = {"alg": "EdDSA", "kid": secrets.token_hex(8)}
    claims = {"iss": issuer, "aud": audience, "sub": "mallory", "iat": now, "exp": now + 600}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(64)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def press(port: int, alias: str, issuer: str, audience: str, pause: float, ends: float) -> Counter[str]:
    """One connection, one request at a time, at its own pace."""
    statuses: Counter[str] = Counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < ends:
        began = time.monotonic()
        head = f"POST /v1/rooms/{alias}/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
        writer.write(f"{head}Authorization: Bearer {bearer(issuer, audience)}\r\n\r\n".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(line for line in answer.lower().split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
        statuses[answer.split(" ", maxsplit=2)[1]] += 1
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))
    writer.close()
    return statuses


async def flood(port: int, alias: str, issuer: str, audience: str, rate: float, seconds: float) -> Counter[str]:
    ends, pause = time.monotonic() + seconds, CONNECTIONS / rate
    found = await asyncio.gather(*[press(port, alias, issuer, audience, pause, ends) for _ in range(CONNECTIONS)])
    return sum(found, Counter())


if __name__ == "__main__":
    port, alias, issuer, audience, rate, seconds = sys.argv[1:]
    told = asyncio.run(flood(int(port), alias, issuer, audience, float(rate), float(seconds)))
    sys.stdout.write(json.dumps(told))
