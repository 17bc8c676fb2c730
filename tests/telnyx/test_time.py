"""The total time of an attempt and of a call, whatever the peer does with its bytes.

Most calls get a deadline well under the 3 s of an attempt, so that the same cut happens sooner.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from service.errors import DeadlineExceeded, OwnTrouble, UpstreamTimeout
from service.telnyx.client import ATTEMPT_SECS
from tests.processes import Sandbox
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Behaviour, answers, drips, full_backlog, hangs, peer, wire
from tests.telnyx.rig import Rig

# What is cut while it connects is closed with the frames that know it (``time_limit``).
pytestmark = [pytest.mark.cooperative, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

SHORT = 0.4
# What a drip would take if nobody cut it is a minute and more; a busy machine stays under this.
LATE = 8.0

_HEAD, _, _BODY = wire().partition(b"\r\n\r\n")
_LINE, _, _FIELDS = _HEAD.partition(b"\r\n")
SLOW: dict[str, Behaviour] = {
    "silence": hangs,
    "a dripping status line": drips(b"", b"HTTP/1.1 201 " + b"C" * 2000),
    "dripping headers": drips(_LINE + b"\r\n", _FIELDS + b"\r\nX-Long: " + b"x" * 2000),
    "a dripping body": drips(_HEAD + b"\r\n\r\n", _BODY * 20),
    "a dripping body without a length": drips(b"HTTP/1.1 201 Created\r\n\r\n", b" " * 2000),
    "dripping chunks": drips(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 400),
    "a redirect with a dripping body": drips(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", b" " * 2000
    ),
    "endless interim answers": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200, 0.001),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
def test_a_slow_peer_is_cut_at_the_end_of_the_time(behaviour: Behaviour, rig: MakeRig) -> None:
    """Wherever in its answer a peer dawdles, the call ends with its deadline."""
    with peer(behaviour) as upstream:
        error, took = rig(upstream.url).timed("retrieve_room", SHORT)

    assert isinstance(error, DeadlineExceeded)
    assert SHORT <= took < LATE


@pytest.mark.parametrize("name", ["retrieve_room", "generate_join_client_token", "refresh_client_token"])
def test_a_dripping_sandbox_is_cut_at_the_end_of_the_time(name: str, sandbox: Sandbox, upstream: Rig) -> None:
    """One byte each 0.4 s never outlives the budget."""
    sandbox.fault(name, "drip")

    error, took = upstream.timed(name, 1.0)

    assert isinstance(error, DeadlineExceeded)
    assert took < LATE


def test_a_hanging_sandbox_is_cut_at_the_end_of_the_time(sandbox: Sandbox, upstream: Rig) -> None:
    """A request that is taken and never answered never outlives the budget."""
    sandbox.fault("retrieve_room", "hang")

    error, took = upstream.timed("retrieve_room", SHORT)

    assert isinstance(error, DeadlineExceeded)
    assert took < LATE


def test_an_attempt_ends_after_three_seconds(rig: MakeRig) -> None:
    """With more budget than that, a single attempt still ends at 3 s."""
    with peer(SLOW["a dripping body"]) as upstream:
        error, took = rig(upstream.url).timed("create_room", 60.0)

        assert len(upstream.requests) == 1
    assert isinstance(error, UpstreamTimeout)
    assert ATTEMPT_SECS <= took < 2 * LATE


def test_a_peer_that_never_accepts_is_given_up(rig: MakeRig) -> None:
    """Connecting counts against the same time."""
    with full_backlog() as port:
        error, took = rig(f"http://127.0.0.1:{port}").timed("retrieve_room", SHORT)

    assert isinstance(error, OwnTrouble)
    assert error.status == 504
    assert took < LATE


def _name_of(monkeypatch: pytest.MonkeyPatch, name: str, addresses: list[str]) -> list[str]:
    """Let a name have these addresses; answers the list of names that are looked up from now on."""
    resolve, asked = socket.getaddrinfo, []

    def look_up(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host != name:
            return resolve(host, port, *args, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_is_looked_up_once_and_its_addresses_are_tried_in_turn(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address where nobody listens costs neither an attempt nor another look-up."""
    with peer(answers(200)) as upstream:
        asked = _name_of(monkeypatch, "upstream.test", ["::1", "::1", "127.0.0.1"])
        client = rig(f"http://upstream.test:{upstream.port}")
        client.call("create_room")

        assert upstream.requests[0].headers["host"] == f"upstream.test:{upstream.port}"
    assert (client.attempts, asked) == (1, ["upstream.test"])


def test_the_addresses_of_a_name_share_the_time_to_connect(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with many addresses of which none accepts takes no longer than one address."""
    with full_backlog() as port:
        _name_of(monkeypatch, "upstream.test", ["127.0.0.1"] * 20)

        _, took = rig(f"http://upstream.test:{port}").timed("retrieve_room", 0.5)

    assert took < 5.0


def test_a_time_that_ends_before_there_is_a_connection_cuts_it_when_there_is(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a name that took too long to resolve, a drip does not begin a time of its own."""
    resolve, never = socket.getaddrinfo, threading.Event()

    def resolve_slowly(*args: Any, **options: Any) -> Any:
        never.wait(SHORT)
        return resolve(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    with peer(SLOW["a dripping body"]) as upstream:
        _, took = rig(upstream.url).timed("create_room", SHORT)

    assert took < LATE


def test_a_second_key_gets_no_time_of_its_own(rig: MakeRig) -> None:
    """Both keys share the time of one attempt, which ends with the deadline and not after three seconds."""
    with peer(answers(401, {}), hangs) as upstream:
        error, took = rig(upstream.url, "KEY-one", "KEY-two").timed("create_room", SHORT)

        assert len(upstream.requests) == 2
    assert isinstance(error, DeadlineExceeded)
    assert took < ATTEMPT_SECS - 0.5


def test_a_dripping_tls_handshake_is_cut_at_the_end_of_the_time(rig: MakeRig) -> None:
    """The time runs from the first packet, not from the end of the handshake."""
    done = threading.Event()

    def shake_slowly() -> None:
        conn, _ = listener.accept()
        with conn:
            conn.recv(65536)
            # The head of a record of 16 KiB, which then never becomes whole.
            conn.sendall(b"\x16\x03\x03\x40\x00")
            while not done.wait(0.05):
                try:
                    conn.sendall(b"\x02")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_slowly)
        thread.start()
        _, took = rig(f"https://127.0.0.1:{listener.getsockname()[1]}").timed("retrieve_room", SHORT)
        done.set()
        thread.join(10)

    assert took < LATE


def test_two_attempts_fit_into_the_deadline(rig: MakeRig) -> None:
    """A repetition gets what is left of the deadline, not three seconds of its own."""
    with peer(hangs) as upstream:
        client = rig(upstream.url)
        error, took = client.timed("retrieve_room", ATTEMPT_SECS + 0.6)

    assert client.attempts == 2
    assert isinstance(error, DeadlineExceeded)
    assert took < 2 * LATE


def test_a_deadline_that_is_over_makes_no_call(rig: MakeRig) -> None:
    """Nothing is sent on behalf of a caller who is gone."""
    with peer(hangs) as upstream:
        error = rig(upstream.url).failure("retrieve_room", 0.0)

        assert upstream.accepts == 0
    assert isinstance(error, DeadlineExceeded)
