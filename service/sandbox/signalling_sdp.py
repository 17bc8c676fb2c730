"""Answers to WebRTC offers that a browser accepts and that lead nowhere: they agree to all and have no address.

The official web SDK is connected when the answer announces sound in the audio section (a remote track), which needs no
packet of media. So the sandbox has no media and no engine for it.
"""

import secrets
from collections.abc import Sequence
from typing import Final

_REVERSED: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
# The lines of the offer about a codec that the answer repeats (RFC 3264 section 6.1).
_CODEC_LINES: Final = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")


def answer(offer: str) -> str:
    """The answer to ``offer``. Raises ``ValueError`` if that is no session description."""
    lines = offer.replace("\r\n", "\n").strip().split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if lines[0] != "v=0" or not starts:
        raise ValueError("not a session description")
    sections = [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    names = [_value(section, "a=mid:") or str(number) for number, section in enumerate(sections)]
    head = ["v=0", f"o=sandbox {secrets.randbelow(2**62)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    # One transport for all sections, as the offer proposes.
    credentials = [f"a=ice-ufrag:{secrets.token_hex(4)}", f"a=ice-pwd:{secrets.token_hex(12)}", _fingerprint()]
    body = [
        line
        for name, section in zip(names, sections, strict=True)
        for line in _answer_section(section, name, credentials)
    ]
    return "\r\n".join([*head, f"a=group:BUNDLE {' '.join(names)}", "a=ice-lite", *body, ""])


def _answer_section(section: Sequence[str], name: str, credentials: Sequence[str]) -> list[str]:
    """The first codec of a section, in the direction that fits the offer's."""
    kind, _, protocol, first, *_ = section[0].removeprefix("m=").split(" ")
    offered = next((one for one in _REVERSED if f"a={one}" in section), "sendrecv")
    codec = [line for prefix in _CODEC_LINES for line in section if line.startswith(f"{prefix}{first} ")]
    return [
        f"m={kind} 9 {protocol} {first}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{name}",
        *credentials,
        "a=setup:passive",
        f"a={_REVERSED[offered]}",
        f"a=msid:sandbox {kind}{name}",
        "a=rtcp-mux",
        *codec,
    ]


def _value(section: Sequence[str], prefix: str) -> str | None:
    return next((line.removeprefix(prefix) for line in section if line.startswith(prefix)), None)


def _fingerprint() -> str:
    """Of no certificate: nobody ever shows one."""
    return "a=fingerprint:sha-256 " + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(32))
