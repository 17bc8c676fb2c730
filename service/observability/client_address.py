"""From where on the network a request came, for the lines that it leaves in the log; nothing is decided by it."""

from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

current: Final[ContextVar[str | None]] = ContextVar("client_address", default=None)
# What is left of an address where it is shortened: the network of a household or a company.
_SHORT_BITS: Final = {4: 24, 6: 48}
# Strangers may write as much as headers hold, and what is longer than proxies make it is not remembered.
_LONGEST_REMEMBERED: Final = 256


def client_address(peer: str, forwarded: str, trusted: tuple[IPv4Network | IPv6Network, ...], form: str) -> str | None:
    """``peer``, or for whom a ``trusted`` proxy says (``X-Forwarded-For``) that it asks, as far back as proxies are
    trusted. ``form`` is ``off``, ``short`` or ``full``.
    """
    find = _find if len(forwarded) <= _LONGEST_REMEMBERED else _find.__wrapped__
    return find(peer, forwarded, trusted, form)


# Most requests come by the same few balancers, or from people who ask again: 4 % of a token answer.
@lru_cache(maxsize=1024)
def _find(peer: str, forwarded: str, trusted: tuple[IPv4Network | IPv6Network, ...], form: str) -> str | None:
    found = None if form == "off" else _read(peer)
    for said in reversed(forwarded.split(",")):
        before = _read(said)
        if found is None or before is None or not any(found in network for network in trusted):
            break
        found = before
    if found is None or form == "full":
        return None if found is None else str(found)
    return str(ip_network((found, _SHORT_BITS[found.version]), strict=False))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address, which some proxies write with its port. A zone says nothing elsewhere, and may be any text."""
    text = text.strip().partition("%")[0]
    host, _, port = text.rpartition(":")
    for one in (text, host if port.isdigit() else "", text.strip("[]")):
        with suppress(ValueError):
            found = ip_address(one.strip("[]"))
            return getattr(found, "ipv4_mapped", None) or found
    return None
