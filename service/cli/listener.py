"""The port that callers come to: taken here, served by gunicorn, given up without losing anybody.

Whoever has connected and was not accepted yet when a listener closes is reset, after having sent a request that a
balancer may not repeat (measured: behind nginx, which asks no ``/readyz``, 2 to 6 in a dozen restarts). So at the end
newcomers are turned away first: their first packet is dropped, they send another after a second, and are refused.
"""

import ctypes
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Final

# linux/socket.h and linux/filter.h: pass every packet but one that has SYN and not ACK among its flags.
_SO_ATTACH_FILTER: Final = 26
_FLAGS_AT: Final = 13
_SYN, _SYN_OR_ACK = 0x02, 0x12
_NO_NEWCOMERS: Final = (
    (0x30, 0, 0, _FLAGS_AT),
    (0x54, 0, 0, _SYN_OR_ACK),
    (0x15, 0, 1, _SYN),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)
# In Linux' struct tcp_info of a listener: how many wait to be accepted.
_WAITING: Final = struct.Struct("24xI")
_HANDSHAKE_SECS: Final = 0.1
_ACCEPT_SECS: Final = 2.0


def bind(host: str, port: int) -> socket.socket:
    """A socket that will listen there; raises ``OSError`` where it cannot."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def is_free(host: str, port: int) -> bool:
    """Whether nobody else listens there, and we may."""
    try:
        bind(host, port).close()
    except OSError:
        return False
    return True


def close(listener: socket.socket) -> None:
    """Let nobody in any more, wait until those who have come are accepted, and give the port up."""
    with listener, suppress(OSError):
        if sys.platform != "linux":
            return
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_NEWCOMERS)
        kept = ctypes.create_string_buffer(program, len(program))
        told = struct.pack("HP", len(_NO_NEWCOMERS), ctypes.addressof(kept))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)
        time.sleep(_HANDSHAKE_SECS)
        end = time.monotonic() + _ACCEPT_SECS
        while time.monotonic() < end:
            info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING.size)
            if _WAITING.unpack(info) == (0,):
                return
            time.sleep(0.01)
