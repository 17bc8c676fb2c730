"""Requests whose end two readers could see in different places, and odd methods, versions and targets (T37)."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.edge.wire import request, said_to, statuses
from tests.processes import ServiceProcess, fresh, mint

BEARER = mint("mallory")
AUTHORIZED = f"Authorization: Bearer {BEARER}"
ADMIN = f"Authorization: Bearer {mint('ada', scope='rooms:admin')}"
# Forgetting tokens is a call that anybody may make with success: 204 would show that it was.
SMUGGLED = request("DELETE", "/v1/rooms/smuggled/token", AUTHORIZED)
HEAD = request("POST", "/v1/rooms/no-such-room/token", AUTHORIZED, "Content-Type: application/json")[:-2]
LAST_CHUNK = b"0\r\n\r\n"
# RFC 9112 section 6.1 wants 501 for a transfer coding that nobody knows.
REFUSALS = frozenset({*range(400, 500), 501})

CODINGS = {
    "plain": b"Transfer-Encoding: chunked",
    "lower case": b"transfer-encoding: chunked",
    "upper value": b"Transfer-Encoding: CHUNKED",
    "a tab": b"Transfer-Encoding:\tchunked",
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "a prefix": b"Transfer-Encoding: xchunked",
    "a suffix": b"Transfer-Encoding: chunkedx",
    "a list": b"Transfer-Encoding: identity, chunked",
    "a list that ends otherwise": b"Transfer-Encoding: chunked, identity",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "twice, one odd": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "a bare line feed": b"X: y\nTransfer-Encoding: chunked",
    "a bare return": b"X: y\rTransfer-Encoding: chunked",
    "a NUL": b"Transfer-Encoding: chunked\x00",
    "a space in front": b" Transfer-Encoding: chunked",
    "a parameter": b"Transfer-Encoding: chunked;q=1",
}
# These all mean chunks, so that a second request behind them is one by right.
CHUNKED = {"plain", "lower case", "upper value", "a tab", "a list"}
LENGTHS = {
    "plain": b"Content-Length: %d",
    "a plus": b"Content-Length: +%d",
    "a zero in front": b"Content-Length: 0%d",
    "a list": b"Content-Length: %d, 0",
    "twice": b"Content-Length: %d\r\nContent-Length: 0",
    "a space inside": b"Content-Length: %d 0",
    "hexadecimal": b"Content-Length: 0x%x",
}


@pytest.fixture(scope="module", autouse=True)
def written_before(service: ServiceProcess) -> int:
    """How much the service had logged before this file began."""
    return len(service.output())


def never_smuggled(service: ServiceProcess, raw: bytes) -> None:
    """Only refusals, and the hidden request was not obeyed; half closed, so that nothing is waited for."""
    got = statuses(said_to(service.port, raw))
    assert 204 not in got
    assert set(got) <= REFUSALS


@pytest.mark.parametrize("coding", CODINGS)
def test_two_framings_are_none(service: ServiceProcess, coding: str) -> None:
    """A length beside a transfer coding, each in any spelling: the request is refused or is all that there is."""
    for length in LENGTHS.values():
        body = LAST_CHUNK + SMUGGLED
        never_smuggled(service, HEAD + CODINGS[coding] + b"\r\n" + length % len(body) + b"\r\n\r\n" + body)


@pytest.mark.parametrize("coding", [name for name in CODINGS if name not in CHUNKED])
def test_a_coding_that_is_not_quite_chunked_frames_nothing(service: ServiceProcess, coding: str) -> None:
    """What follows a body in an unknown coding is not a request."""
    never_smuggled(service, HEAD + CODINGS[coding] + b"\r\n\r\n" + LAST_CHUNK + SMUGGLED)


@pytest.mark.parametrize("length", [name for name in LENGTHS if name not in {"plain", "a zero in front"}])
def test_a_length_that_is_not_a_number_frames_nothing(service: ServiceProcess, length: str) -> None:
    """What follows a body of unknown length is not a request."""
    never_smuggled(service, HEAD + LENGTHS[length] % 2 + b"\r\n\r\n{}" + SMUGGLED)


@pytest.mark.parametrize(
    "chunks",
    [
        b"2\r\n{}\r\n00\r\n\r\n",
        b"2;ext=1\r\n{}\r\n0\r\n\r\n",
        b'2;ext="a;b"\r\n{}\r\n0\r\n\r\n',
        b"2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
    ids=["zeros", "an extension", "a quoted extension", "a trailer", "two chunks"],
)
def test_chunks_in_any_good_form_end_where_they_end(service: ServiceProcess, chunks: bytes) -> None:
    """The request behind a body in chunks is read as the next one; a form that we do not read is refused."""
    got = statuses(said_to(service.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + SMUGGLED))

    assert got == [404, 204] or (len(got) == 1 and got[0] in REFUSALS)


@pytest.mark.parametrize("size", ["0x2", "2 ", " 2", "+2", "-2", "2_0", "2\t", "g", "", "1" * 40, "2\r\r", "\u0662"])
def test_a_chunk_size_that_is_none_ends_the_connection(service: ServiceProcess, size: str) -> None:
    """What follows a chunk of unknown size is not a request."""
    chunks = size.encode() + b"\r\n{}\r\n" + LAST_CHUNK
    got = statuses(said_to(service.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + SMUGGLED))

    # Blanks around a size are read by some: then both requests are what they say.
    assert got == [404, 204] if size in {"2 ", "2\t"} and 204 in got else 204 not in got and set(got) <= REFUSALS


@pytest.mark.parametrize(
    "line",
    [
        b"GET /healthz\r\n",
        b"GET /healthz HTTP/1.1 HTTP/1.1\r\n",
        b"GET  /healthz HTTP/1.1\r\n",
        b"GET\t/healthz\tHTTP/1.1\r\n",
        b" GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/2.0\r\n",
        b"GET /healthz http/1.1\r\n",
        b"GET /healthz HTTP/1.10\r\n",
        b"GET \xff\xfe HTTP/1.1\r\n",
        b"G\x00T /healthz HTTP/1.1\r\n",
        b"GET /\x00 HTTP/1.1\r\n",
        b"GET healthz HTTP/1.1\r\n",
        b"get /healthz HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"CONNECT x:443 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET /healthz HTTP/1.1\r\n",
        b"GET http:///healthz HTTP/1.1\r\n",
        b"GET http://[x/healthz HTTP/1.1\r\n",
    ],
)
def test_a_request_line_that_is_none_is_refused(service: ServiceProcess, line: bytes) -> None:
    """A refusal or a closed connection, never a fault, and nothing behind it is obeyed."""
    got = statuses(said_to(service.port, line + b"Host: x\r\n\r\n" + SMUGGLED))

    assert all(status in REFUSALS or status in {200, 204} for status in got)
    assert got in ([200, 204], [405, 204], [404, 204]) or (204 not in got and 200 not in got)


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "OPTIONS", "PATCH", "PROPFIND", "DEBUG", "FOO-BAR", "X" * 20])
@pytest.mark.parametrize("path", ["/v1/admin/rooms", "/v1/rooms/x/token", "/healthz", "/nowhere"])
def test_other_methods_do_nothing(service: ServiceProcess, method: str, path: str) -> None:
    """405 where there is something at the path, 404 where there is not, and no header comes back (no TRACE)."""
    said = said_to(service.port, request(method, path, AUTHORIZED, "X-Mirror: mirror-me", "Connection: close"))

    (status,) = statuses(said)
    assert status in {400, 404, 405}
    assert b"mirror-me" not in said


def test_head_is_get_without_a_body(service: ServiceProcess) -> None:
    """HEAD stands behind the same gate as GET, and says nothing in a body."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    got = {}
    for path in ("/healthz", "/v1/rooms", "/v1/admin/rooms"):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert answer.read() == b""
        got[path] = answer.status
    connection.close()
    assert got == {"/healthz": 200, "/v1/rooms": 401, "/v1/admin/rooms": 401}


def test_the_old_version_is_served_and_closed(service: ServiceProcess) -> None:
    """HTTP/1.0 without Host gets its answer, then the end of the connection."""
    said = said_to(service.port, b"GET /healthz HTTP/1.0\r\n\r\n", close=False)

    assert statuses(said) == [200]
    assert b"onnection: close" in said


@pytest.mark.parametrize("line", ["GET /healthz", "GET /v1/rooms", "POST /v1/rooms/r/token", "GET /nowhere"])
def test_a_request_that_names_no_host_is_refused(service: ServiceProcess, line: str) -> None:
    """400 for HTTP/1.1 without ``Host``, whatever is asked for (RFC 9112 section 3.2)."""
    said = said_to(service.port, f"{line} HTTP/1.1\r\n{AUTHORIZED}\r\n\r\n".encode())

    assert statuses(said) == [400]
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "malformed_request"


@pytest.mark.parametrize("path", ["/v1/admin/rooms/{room}/members/", "/v1/rooms/{room}/bans/"])
@pytest.mark.parametrize("user", [".", "..", "%2e", "%2E%2e", "a/..", "a%2f..%2fb", "./a", "a/./b"])
def test_dots_are_no_user(service: ServiceProcess, path: str, user: str) -> None:
    """A path that clients and proxies would shorten changes nobody: there is no such path, or no such user."""
    name = fresh()
    room = request("PUT", f"/v1/admin/rooms/{name}", ADMIN, "Content-Type: application/json", body=b"{}")
    body = b'{"role": "participant"}' if "members" in path else b"{}"
    raw = request("PUT", path.format(room=name) + user, ADMIN, "Content-Type: application/json", body=body)

    made, refused = statuses(said_to(service.port, room + raw))
    assert (made, refused) in {(201, 404), (201, 422)}


def test_chunks_in_the_old_version_are_refused(service: ServiceProcess) -> None:
    """HTTP/1.0 knows no chunks: such a request is one of a smuggler."""
    never_smuggled(
        service, HEAD.replace(b"/1.1", b"/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + LAST_CHUNK + SMUGGLED
    )


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_an_absolute_target_is_its_path(service: ServiceProcess, scheme: str) -> None:
    """A target with scheme and host, as to a proxy, means the path, behind its gate (RFC 9112 section 3.2.2)."""
    raw = request("GET", f"{scheme}://evil.example/v1/admin/rooms", "Connection: close")

    (status,) = statuses(said_to(service.port, raw))
    assert status in {400, 401}


@pytest.mark.parametrize(
    ("many", "refused"),
    [
        (1000, 401),
        (8000, 401),
        (9000, 414),
        pytest.param(100_000, 414, marks=pytest.mark.long),
        pytest.param(1_000_000, 414, marks=pytest.mark.long),
    ],
)
def test_a_long_target_is_refused(service: ServiceProcess, many: int, refused: int) -> None:
    """What fits a line is a path like any other; what does not is refused, without reading all of it."""
    got = statuses(said_to(service.port, request("GET", "/v1/rooms?" + "a" * many, "Connection: close")))

    # gunicorn 26 answers 400 in place of 414 to a line that is a little too long.
    assert got in ([refused], [431], [400 if refused == 414 else refused])


@pytest.mark.parametrize("many", [64, 100, 10_000])
def test_many_headers_are_refused(service: ServiceProcess, many: int) -> None:
    """64 header lines are the most, ``Host`` among them."""
    headers = [f"X-{number}: {number}" for number in range(many)]

    assert statuses(said_to(service.port, request("GET", "/healthz", *headers))) in ([431], [400])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 30_000, "malformed_request"),
        (b'{"a":' * 10_000, "malformed_request"),
        (b"[" * 30_000 + b"]" * 30_000, "malformed_request"),
        (b"1" * 60_000, "malformed_request"),
        (b'{"device_id":"' + b"\\u0000" * 5000 + b'"}', "invalid_request"),
        (b'{"a":' + b"9" * 5000 + b"}", "malformed_request"),
        (b'{"a":1e999999}', "malformed_request"),
        (b" " * 65_537, "body_too_large"),
        (b"\xff\xfe{\x00}\x00", "malformed_request"),
    ],
    ids=[
        "deep",
        "deep objects",
        "deep and closed",
        "a long number",
        "NULs",
        "a number",
        "infinity",
        "blanks",
        "UTF-16",
    ],
)
def test_a_body_made_to_hurt_is_refused(service: ServiceProcess, body: bytes, code: str) -> None:
    """Deep, long and odd JSON is the caller's fault and costs nothing but a refusal."""
    raw = request("PUT", "/v1/admin/rooms/no-such-room", ADMIN, "Content-Type: application/json", body=body)
    said = said_to(service.port, raw)

    document = json.loads(said.partition(b"\r\n\r\n")[2])
    assert 400 <= document["status"] < 500
    assert document["code"] in {code, "invalid_request"}


def test_no_attack_was_a_fault(service: ServiceProcess, written_before: int) -> None:
    """Nothing that this file sent came up as an unexpected exception, or ended a worker."""
    log = service.output()[written_before:]
    assert log
    assert not [word for word in ("unexpected exception", "request failed", "Booting worker") if word in log]
