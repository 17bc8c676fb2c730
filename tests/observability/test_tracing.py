"""A caller's trace goes on through the service: into each log line of the request and into the calls made for it."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from service.observability import tracing
from tests.processes import Caller, Sandbox, ServiceProcess, fresh, make_room, mint, until
from tests.web.doubles import ORIGIN, make_face

PARENT = "00f067aa0ba902b7"


def new_trace() -> str:
    """An id that no other test uses."""
    return secrets.token_hex(16)


def lines(service: ServiceProcess, name: str, value: str) -> list[dict[str, Any]]:
    """What was logged with this value in the field ``name``, up to the line at the end of its request: the access line,
    or the audit line of a token, which stands for it.
    """

    def found() -> list[dict[str, Any]]:
        whole = (line for line in service.output().split("\n")[:-1] if value in line)
        return [line for line in map(json.loads, whole) if line.get(name) == value]

    until(lambda: any("route" in line for line in found()), what="the end of the request")
    return found()


def room_of(service: ServiceProcess, *members: str, **spec: Any) -> tuple[str, str]:
    """A new room with these members: its alias and its id at Telnyx."""
    alias = fresh("traced")
    return alias, make_room(service.url, alias, *(members or ("alice",)), **spec)


def sent(sandbox: Sandbox, operation: str, room_id: str) -> list[dict[str, str]]:
    """What the calls of an operation for this room carried along."""
    return [entry["headers"] for entry in sandbox.requests(operation) if room_id in entry["path"]]


def test_each_line_of_a_request_names_the_trace(service: ServiceProcess) -> None:
    """The audit line and the access line bear the caller's trace id beside the request id."""
    alias, _ = room_of(service)
    trace, request = new_trace(), fresh("request")
    Caller(service.url, "ada", scope="rooms:admin").ask(
        "POST",
        f"/v1/rooms/{alias}/invites",
        json={},
        headers={"traceparent": f"00-{trace}-{PARENT}-01", "X-Request-Id": request},
    )
    logged = lines(service, "request_id", request)

    assert {line["logger"] for line in logged} == {"audit", "access"}
    assert {line["trace_id"] for line in logged} == {trace}


def test_all_lines_of_a_request_name_one_span_of_our_own(service: ServiceProcess) -> None:
    """It is made anew for each request and is not the caller's."""
    trace = new_trace()
    spans = []
    for _ in range(2):
        request = fresh("request")
        headers = {"traceparent": f"00-{trace}-{PARENT}-01", "X-Request-Id": request}
        Caller(service.url, "alice").ask("GET", "/v1/rooms", headers=headers)
        (span,) = {line["span_id"] for line in lines(service, "request_id", request)}
        spans.append(span)

    assert all(re.fullmatch(r"[0-9a-f]{16}", span) for span in spans)
    assert len({*spans, PARENT}) == 3


def test_a_call_to_telnyx_for_a_request_has_our_span_as_its_parent(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Though a greenlet of the renewal's own makes it: the trace goes with the work."""
    alias, room_id = room_of(service)
    trace = new_trace()
    Caller(service.url, "alice").ask(
        "POST", f"/v1/rooms/{alias}/token", headers={"traceparent": f"00-{trace}-{PARENT}-01"}
    )
    span = lines(service, "trace_id", trace)[0]["span_id"]

    assert sent(sandbox, "generate_join_client_token", room_id) == [{"traceparent": f"00-{trace}-{span}-01"}]


def test_a_call_to_telnyx_from_the_request_s_own_greenlet_has_it_too(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Management calls are made where they are asked for."""
    alias, room_id = room_of(service)
    trace = new_trace()
    ada = Caller(service.url, "ada", scope="rooms:admin")
    ada.ask("DELETE", f"/v1/admin/rooms/{alias}", headers={"traceparent": f"00-{trace}-{PARENT}-00"})
    span = lines(service, "trace_id", trace)[0]["span_id"]

    assert sent(sandbox, "delete_room", room_id) == [{"traceparent": f"00-{trace}-{span}-00"}]


def test_each_attempt_of_a_call_names_the_same_parent(service: ServiceProcess, sandbox: Sandbox) -> None:
    """A repetition is part of the same request."""
    alias, room_id = room_of(service)
    sandbox.fault("generate_join_client_token", "status", status=503, times=1)
    trace = new_trace()
    answer = Caller(service.url, "alice").ask(
        "POST", f"/v1/rooms/{alias}/token", headers={"traceparent": f"00-{trace}-{PARENT}-01"}
    )
    sandbox.clear_faults()
    carried = [headers["traceparent"] for headers in sent(sandbox, "generate_join_client_token", room_id)]

    assert answer.ok, answer.text
    assert len(carried) == 2
    assert len(set(carried)) == 1


def test_a_renewal_logs_under_the_request_that_began_it(service: ServiceProcess, sandbox: Sandbox) -> None:
    """What the renewal's greenlet has to say of a failed call bears the request's id and trace."""
    alias, _ = room_of(service)
    sandbox.fault("generate_join_client_token", "status", status=503, times=1)
    trace, request = new_trace(), fresh("request")
    Caller(service.url, "alice").ask(
        "POST",
        f"/v1/rooms/{alias}/token",
        headers={"traceparent": f"00-{trace}-{PARENT}-01", "X-Request-Id": request},
    )
    sandbox.clear_faults()
    (refused,) = [line for line in lines(service, "request_id", request) if line["message"] == "upstream call refused"]

    assert (refused["status"], refused["trace_id"]) == (503, trace)


def test_a_renewal_logs_under_its_request_id_without_a_trace(service: ServiceProcess, sandbox: Sandbox) -> None:
    """The request id goes with the work of every request."""
    alias, _ = room_of(service)
    sandbox.fault("generate_join_client_token", "status", status=503, times=1)
    request = fresh("request")
    Caller(service.url, "alice").ask("POST", f"/v1/rooms/{alias}/token", headers={"X-Request-Id": request})
    sandbox.clear_faults()
    messages = [line["message"] for line in lines(service, "request_id", request)]

    assert "upstream call refused" in messages


def test_nothing_else_of_the_caller_is_sent_on(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Neither ``tracestate`` nor ``baggage`` nor the request id: they are not ours to hand to others."""
    alias, room_id = room_of(service)
    headers = {
        "traceparent": f"00-{new_trace()}-{PARENT}-01",
        "tracestate": "vendor=canary",
        "baggage": "user=canary",
        "X-Request-Id": fresh("request"),
    }
    Caller(service.url, "alice").ask("POST", f"/v1/rooms/{alias}/token", headers=headers)

    assert [set(carried) for carried in sent(sandbox, "generate_join_client_token", room_id)] == [{"traceparent"}]


def test_without_the_header_there_is_no_trace(service: ServiceProcess, sandbox: Sandbox) -> None:
    """No line names one, and Telnyx is told of none."""
    alias, room_id = room_of(service)
    request = fresh("request")
    Caller(service.url, "alice").ask("POST", f"/v1/rooms/{alias}/token", headers={"X-Request-Id": request})

    assert not any({"trace_id", "span_id"} & line.keys() for line in lines(service, "request_id", request))
    assert sent(sandbox, "generate_join_client_token", room_id) == [{}]


def test_a_trace_ends_with_its_request(service: ServiceProcess) -> None:
    """Many requests without one, on the connection that had some with it, log none."""
    caller, trace, last = Caller(service.url, "alice"), new_trace(), fresh("last")
    for _ in range(10):
        caller.ask("GET", "/v1/rooms", headers={"traceparent": f"00-{trace}-{PARENT}-01"})
    for number in range(40):
        caller.ask("GET", "/v1/rooms", headers={"X-Request-Id": f"{last}-{number}"})
    until(lambda: all(f'"{last}-{number}"' in service.output() for number in range(40)), what="the lines")
    logged = [json.loads(line) for line in service.output().split("\n")[:-1] if last in line]

    assert len(logged) == 40
    assert not any("trace_id" in line for line in logged)


def test_requests_at_the_same_time_keep_their_traces(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Of 30 at once, each call to Telnyx names the trace of the user it was made for."""
    users = [f"user{number}" for number in range(30)]
    alias, room_id = room_of(service, access=[{"authenticated": True, "role": "participant"}])
    traces = {user: new_trace() for user in users}
    many = [
        (user, {"Authorization": f"Bearer {mint(user)}", "traceparent": f"00-{traces[user]}-{PARENT}-01"})
        for user in users
    ]
    together(service.port, f"/v1/rooms/{alias}/token", [headers for _, headers in many])
    audited = {line["user"]: line for user in users for line in lines(service, "trace_id", traces[user])}
    carried = {headers["traceparent"] for headers in sent(sandbox, "generate_join_client_token", room_id)}

    assert {user: line["trace_id"] for user, line in audited.items()} == traces
    assert carried == {f"00-{line['trace_id']}-{line['span_id']}-01" for line in audited.values()}


def together(port: int, path: str, requests_headers: Sequence[dict[str, str]]) -> None:
    """Send all requests before any answer is read."""
    connections = []
    for headers in requests_headers:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        connection.request("POST", path, headers={**headers, "Content-Length": "0"})
        connections.append(connection)
    for connection in connections:
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WELL_FORMED = {
    "sampled": (f"00-{TRACE}-{PARENT}-01", "01"),
    "not sampled": (f"00-{TRACE}-{PARENT}-00", "00"),
    "a random trace id": (f"00-{TRACE}-{PARENT}-02", "02"),
    "flags that nobody knows": (f"00-{TRACE}-{PARENT}-ff", "03"),
    "a later version": (f"01-{TRACE}-{PARENT}-01", "01"),
    "the last version": (f"fe-{TRACE}-{PARENT}-01", "01"),
    "a later version with more": (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", "01"),
    "a later version with an empty more": (f"cc-{TRACE}-{PARENT}-01-", "01"),
}
MALFORMED = {
    "empty": "",
    "a word": "canary",
    "no trace id": f"00-{'0' * 32}-{PARENT}-01",
    "no parent": f"00-{TRACE}-{'0' * 16}-01",
    "upper case trace id": f"00-{TRACE.upper()}-{PARENT}-01",
    "upper case parent": f"00-{TRACE}-{PARENT.upper()}-01",
    "upper case version": f"CC-{TRACE}-{PARENT}-01",
    "upper case flags": f"00-{TRACE}-{PARENT}-0A",
    "version ff": f"ff-{TRACE}-{PARENT}-01",
    "version ff with more": f"ff-{TRACE}-{PARENT}-01-more",
    "version of one digit": f"0-{TRACE}-{PARENT}-01",
    "version of three digits": f"000-{TRACE}-{PARENT}-01",
    "a version that is no number": f"0x-{TRACE}-{PARENT}-01",
    "no version": f"{TRACE}-{PARENT}-01",
    "a short trace id": f"00-{TRACE[:-1]}-{PARENT}-01",
    "a long trace id": f"00-{TRACE}0-{PARENT}-01",
    "a short parent": f"00-{TRACE}-{PARENT[:-1]}-01",
    "a long parent": f"00-{TRACE}-{PARENT}0-01",
    "short flags": f"00-{TRACE}-{PARENT}-1",
    "long flags": f"00-{TRACE}-{PARENT}-001",
    "no flags": f"00-{TRACE}-{PARENT}",
    "letters past f": f"00-{'g' * 32}-{PARENT}-01",
    "other digits": f"00-{chr(0xB2) * 32}-{PARENT}-01",
    "underscores": f"00_{TRACE}_{PARENT}_01",
    "version 00 with more": f"00-{TRACE}-{PARENT}-01-more",
    "version 00 with a dash": f"00-{TRACE}-{PARENT}-01-",
    "a later version with more but no dash": f"cc-{TRACE}-{PARENT}-01.more",
    "two in one": f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
    "two of a later version": f"cc-{TRACE}-{PARENT}-01-x,cc-{TRACE}-{PARENT}-01",
    "spaces inside": f"00- {TRACE}-{PARENT}-01",
    "a line feed behind": f"00-{TRACE}-{PARENT}-01\n",
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_a_well_formed_header_is_continued(name: str) -> None:
    """Its trace id and the flags that mean something go on, as version 00."""
    header, flags = WELL_FORMED[name]
    trace = tracing.continued(header)
    tracing.current.set(trace)
    told = tracing.outgoing()
    tracing.current.set(None)

    assert trace is not None
    assert told == {"traceparent": f"00-{TRACE}-{trace.span_id}-{flags}"}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_header_is_passed_over(name: str) -> None:
    """Nothing is made of it, not even of its good parts (section 3.2.2, and 4.3 for the versions)."""
    assert tracing.continued(MALFORMED[name]) is None


@pytest.mark.parametrize("name", ["a word", "no trace id", "upper case trace id", "version ff", "two in one"])
def test_nothing_of_a_malformed_header_is_logged(service: ServiceProcess, name: str) -> None:
    """The request is answered as any other, and no line has a trace or a piece of the header."""
    request = fresh("request")
    headers = {"traceparent": MALFORMED[name], "X-Request-Id": request}
    answer = Caller(service.url, "alice").ask("GET", "/v1/rooms", headers=headers)
    (line,) = lines(service, "request_id", request)

    assert answer.status_code == 200
    assert not {"trace_id", "span_id"} & line.keys()
    assert not re.search(r"canary|4bf92f|4BF92F|00f067", json.dumps(line))


def test_two_headers_are_none(service: ServiceProcess) -> None:
    """Which of them would be the caller's nobody can say."""
    request = fresh("request")
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("GET", "/version")
    for name, value in (
        ("traceparent", f"00-{TRACE}-{PARENT}-01"),
        ("traceparent", f"00-{new_trace()}-{PARENT}-01"),
        ("X-Request-Id", request),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    (line,) = lines(service, "request_id", request)

    assert status == 200
    assert "trace_id" not in line


def test_a_request_that_is_refused_is_traced_as_well(service: ServiceProcess) -> None:
    """An answer of 401 or 404 is part of the trace that it breaks."""
    for path, status in (("/v1/rooms", 401), ("/nowhere", 404)):
        trace = new_trace()
        answer = requests.get(service.url + path, headers={"traceparent": f"00-{trace}-{PARENT}-01"}, timeout=10)
        (line,) = lines(service, "trace_id", trace)

        assert (answer.status_code, line["status"]) == (status, status)


def test_spans_are_never_zero_and_never_the_same() -> None:
    """10,000 spans of one trace are 10,000 names."""
    header = f"00-{TRACE}-{PARENT}-01"
    spans = {trace.span_id for trace in (tracing.continued(header) for _ in range(10_000)) if trace is not None}

    assert len(spans) == 10_000
    assert "0" * 16 not in spans


def test_a_hostile_header_costs_no_time() -> None:
    """The longest header that the server takes is judged in time that grows with its length alone."""

    def seconds(size: int) -> float:
        header = f"cc-{TRACE}-{PARENT}-01" + "-" * size + ","
        began = time.thread_time()
        for _ in range(20):
            assert tracing.continued(header) is None
        return time.thread_time() - began

    seconds(8000)
    assert min(seconds(80_000) for _ in range(3)) < 100 * min(seconds(8000) for _ in range(3)) + 0.01


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    """A browser's preflight asks nobody behind the face of the service."""
    return make_face(tmp_path / "draining").app.test_client()


def test_a_page_of_a_known_origin_may_say_its_trace(client: FlaskClient) -> None:
    """The preflight of an allowed origin allows the header; tracing in browsers fails without it."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,traceparent,tracestate",
    }
    answer = client.options("/v1/rooms/x/token", headers=asked)
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}

    assert answer.status_code == 204
    assert {"authorization", "traceparent", "tracestate"} <= allowed


def test_a_page_of_another_origin_may_not(client: FlaskClient) -> None:
    """Nothing is allowed to it, this header neither."""
    asked = {
        "Origin": "https://evil.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "traceparent",
    }
    answer = client.options("/v1/rooms/x/token", headers=asked)

    assert "Access-Control-Allow-Headers" not in answer.headers
