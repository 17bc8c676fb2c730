"""What arrives on the wire and must not matter, and what must never leave: bodies, redirects, the environment."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from service.errors import OwnTrouble, UpstreamError, UpstreamInvalidResponse, UpstreamUnavailable
from service.http_client import MAX_BYTES
from tests.processes import Sandbox
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Behaviour, answers, floods, peer, sends, wire
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative

# More than any buffer between the two ends holds, far less than an uncapped reader would take.
FLOOD = 64 * 1024 * 1024
TAKEN_AT_MOST = FLOOD // 4
_CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, rig: MakeRig) -> None:
    """Neither our key nor our request reaches the place a redirect names."""
    with peer(answers()) as elsewhere, peer(answers(status, b"", Location=elsewhere.url)) as upstream:
        error = rig(upstream.url).failure("retrieve_room")

        assert elsewhere.accepts == 0
    assert isinstance(error, UpstreamInvalidResponse)


@pytest.mark.parametrize("location", ["http://[", "http://\xff\xfe/", "//", "http://127.0.0.1:99999/", "\x7f"])
def test_a_redirect_to_nowhere_is_an_invalid_answer(location: str, rig: MakeRig) -> None:
    """A Location that is no address raises nothing else than other redirects do."""
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1") + b"\r\n\r\n"
    with peer(sends(head, keep=True)) as upstream:
        assert isinstance(rig(upstream.url).failure("retrieve_room"), UpstreamInvalidResponse)


FLOODS: dict[str, Behaviour] = {
    "with a length": floods(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536, FLOOD),
    "in chunks": floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", _CHUNK, FLOOD),
    "without an end": floods(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 65536, FLOOD),
    "of an error": floods(b"HTTP/1.0 500 Broken\r\n\r\n", b"x" * 65536, FLOOD),
    "of a redirect": floods(b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", b"x" * 65536, FLOOD),
}


@pytest.mark.parametrize("behaviour", FLOODS.values(), ids=FLOODS)
def test_a_huge_body_is_not_read(behaviour: Behaviour, rig: MakeRig) -> None:
    """Reading ends soon after 256 KiB: the peer is stopped long before it has sent all."""
    with peer(behaviour) as upstream:
        error = rig(upstream.url).failure("create_room")
        upstream.ended.acquire(timeout=10)

        assert upstream.bytes_sent < TAKEN_AT_MOST
    assert isinstance(error, UpstreamInvalidResponse)


def test_a_body_of_exactly_the_cap_is_read(rig: MakeRig) -> None:
    """256 KiB are allowed."""
    body = b'{"data": {"text": "' + b"x" * (MAX_BYTES - 22) + b'"}}'
    assert len(body) == MAX_BYTES
    with peer(answers(200, body)) as upstream:
        assert rig(upstream.url).call("retrieve_room").data["text"].startswith("xxx")


def test_one_byte_over_the_cap_is_too_much(rig: MakeRig) -> None:
    """256 KiB and a byte are not an answer, though they would be JSON."""
    body = b'{"data": {"text": "' + b"x" * (MAX_BYTES - 21) + b'"}}'
    with peer(answers(200, body)) as upstream:
        assert isinstance(rig(upstream.url).failure("retrieve_room"), UpstreamInvalidResponse)


@pytest.mark.parametrize(
    "body", [gzip.compress(b'{"data": {}}'), gzip.compress(b" " * 50_000_000)], ids=["good data", "a bomb"]
)
def test_a_compressed_answer_is_refused_unopened(body: bytes, rig: MakeRig) -> None:
    """We ask for plain JSON; nothing is unpacked, be it a good answer or 50 MB in 50 KB."""
    with peer(answers(200, body, Content_Encoding="gzip")) as upstream:
        assert isinstance(rig(upstream.url).failure("retrieve_room"), UpstreamInvalidResponse)


TRUNCATED: dict[str, bytes] = {
    "under its length": wire(200)[:-5],
    "in its status line": b"HTT",
    "between chunks": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n',
    "in a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"',
}
BROKEN: dict[str, bytes] = {
    "no HTTP at all": b"\x00\x01\x02 hello\r\n\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
    "an endless chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 100_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    "a status of words": b"HTTP/1.1 fine OK\r\n\r\n",
}


@pytest.mark.parametrize("data", [*TRUNCATED.values(), *BROKEN.values()], ids=[*TRUNCATED, *BROKEN])
def test_half_an_answer_is_no_answer(data: bytes, rig: MakeRig) -> None:
    """Truncated and broken answers fail as a lost connection does, after one repetition."""
    with peer(sends(data)) as upstream:
        error = rig(upstream.url).failure("retrieve_room")

        assert len(upstream.requests) == 2
    assert isinstance(error, UpstreamUnavailable)


@pytest.mark.parametrize("data", [*TRUNCATED.values(), *BROKEN.values()], ids=[*TRUNCATED, *BROKEN])
def test_half_an_answer_to_a_creation_is_not_asked_for_again(data: bytes, rig: MakeRig) -> None:
    """The creation may have happened: it is not repeated, and its outcome is unknown (504)."""
    with peer(sends(data)) as upstream:
        error = rig(upstream.url).failure("create_room")

        assert len(upstream.requests) == 1
    assert error.code == "upstream_timeout"


@pytest.mark.parametrize("data", [b'HTTP/1.0 200 OK\r\n\r\n{"data": {"id": "x"', b"HTTP/1.1 200 OK\r\nCo"])
def test_a_body_that_ends_with_its_connection_is_judged_by_its_content(data: bytes, rig: MakeRig) -> None:
    """Nothing tells that such an answer is cut short, except that it is not JSON."""
    with peer(sends(data)) as upstream:
        assert isinstance(rig(upstream.url).failure("retrieve_room"), UpstreamInvalidResponse)


@pytest.mark.parametrize("kind", ["content_length", "chunked", "close"])
def test_a_truncating_sandbox_gives_no_token(kind: str, sandbox: Sandbox, upstream: Rig) -> None:
    """However the sandbox cuts its answer short, the call fails as an upstream error."""
    sandbox.fault("list_rooms", "truncate", kind=kind)

    assert isinstance(upstream.failure("list_rooms"), UpstreamError)


def test_the_environment_has_no_say(rig: MakeRig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxy variables and netrc entries neither redirect a call nor change its credentials."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\ndefault login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with peer(answers(200)) as proxy, peer(answers(200)) as upstream:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        rig(upstream.url, "KEY-ours").call("retrieve_room")

        assert proxy.accepts == 0
        assert upstream.requests[0].headers["authorization"] == "Bearer KEY-ours"


def test_a_refresh_without_a_key_stays_without_one(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no header is sent on purpose, a netrc entry does not fill it in."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with peer(answers(401, {}), answers()) as upstream:
        rig(upstream.url).refresh()

        assert "authorization" not in upstream.requests[1].headers


def test_no_cookie_is_kept(rig: MakeRig) -> None:
    """What one call is given, the next call of somebody else does not carry."""
    with peer(answers(200, Set_Cookie="session=of-somebody; Path=/")) as upstream:
        client = rig(upstream.url)
        client.call("retrieve_room")
        client.call("retrieve_room")

        assert "cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize("name", ["retrieve_room", "create_room"])
def test_a_peer_that_ends_the_connection_is_unavailable_or_unknown(name: str, rig: MakeRig) -> None:
    """A read that nobody answered is 503; a creation that nobody answered is 504, for it may have happened."""
    with peer(sends(b"")) as upstream:
        error: OwnTrouble = rig(upstream.url).failure(name)

    assert error.status == {"retrieve_room": 503, "create_room": 504}[name]
