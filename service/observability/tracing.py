"""A request's place in a trace that its caller began (W3C Trace Context, levels 1 and 2, ``traceparent``).

Rules for editors:
* a request without the header is in no trace: it has its request id, and nothing is made up for it;
* what is not well-formed is passed over and never logged: it is whatever a stranger wrote. So are two headers, which
  the web server joins with a comma;
* ``tracestate`` and ``baggage`` are not sent on: they hold what the caller's own systems tell each other, and Telnyx is
  another house. It gets two ids, so that both sides can name a call to each other, and nothing else.
"""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

_WELL_FORMED: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[^,]*)?"
)
# Sampled (level 1) and "the trace id is random" (level 2); other bits are sent on as zero.
_KNOWN_FLAGS: Final = 0x03


@dataclass(frozen=True, slots=True)
class Trace:
    """The caller's trace, our own span in it (both in lower case hexadecimal), and the caller's flags."""

    trace_id: str
    span_id: str
    flags: int


current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def continued(header: str) -> Trace | None:
    """A new span in the trace that ``header`` names; ``None`` if it is not well-formed."""
    found = _WELL_FORMED.fullmatch(header)
    if found is None:
        return None
    version, trace_id, flags, more = found.groups()
    if version == "00" and more is not None:
        # Only versions after this one may have more to say.
        return None
    # Never zero, which would name no span.
    span_id = f"{secrets.randbelow(2**64 - 1) + 1:016x}"
    return Trace(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)


def outgoing() -> dict[str, str]:
    """Headers for a call to others on behalf of the request: our span is its parent."""
    trace = current.get()
    return {} if trace is None else {"traceparent": f"00-{trace.trace_id}-{trace.span_id}-{trace.flags:02x}"}
