"""The sandbox's signalling, frame by frame: who is let in, who may stay, and what those in the meeting are told."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable, Iterator

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import InvalidStatus

from service.sandbox.signalling_sdp import answer
from tests.clients.janus import KEY, Client, act, room, token
from tests.processes import Sandbox, running, until

Connect = Callable[..., Client]


@pytest.fixture(scope="module")
def own() -> Iterator[Sandbox]:
    """A sandbox whose clock may be moved."""
    yield from running(Sandbox())


@pytest.fixture
def client(own: Sandbox) -> Iterator[Connect]:
    """Makes clients of a room, by default with a good token for it."""
    made: list[Client] = []

    def connected(room_id: str, shown: str | None = None) -> Client:
        made.append(Client(own, room_id, token(own, room_id) if shown is None else shown))
        return made[-1]

    yield connected
    for one in made:
        one.leave()


def look(own: Sandbox, participant_id: str) -> dict[str, object]:
    found: dict[str, object] = own.control("GET", f"participants/{participant_id}")
    return found


def test_who_joins_is_a_participant_with_the_id_and_context_of_its_own(own: Sandbox, client: Connect) -> None:
    """As one that came by the control call is."""
    room_id = room(own)

    who = client(room_id).join('{"ticket":"x"}')

    seen = look(own, who)
    assert (seen["room_id"], seen["state"], seen["context"]) == (room_id, "joined", '{"ticket":"x"}')


def test_a_token_of_another_room_does_not_open_a_session(own: Sandbox, client: Connect) -> None:
    """The path names the room; the token has to fit."""
    refused = client(room(own), token(own, room(own))).create()

    assert (refused["status_code"], refused["error_message"]) == (403, "Authorization failed")


@pytest.mark.parametrize("bad", ["forged", "", "eyJ.eyJ.x"])
def test_a_token_that_is_none_does_not_open_a_session(own: Sandbox, client: Connect, bad: str) -> None:
    """Nor is its connection kept."""
    one = client(room(own), bad)

    assert one.create()["status_code"] == 401
    assert one.closed() == 1008


def test_an_expired_token_does_not_open_a_session(own: Sandbox, client: Connect) -> None:
    """By the sandbox's clock."""
    room_id = room(own)
    old = token(own, room_id, 10)
    own.control("POST", "clock", advance=11)

    assert client(room_id, old).create()["status_code"] == 401


def test_a_token_of_a_deleted_room_does_not_open_a_session(own: Sandbox, client: Connect) -> None:
    """However long it lives."""
    room_id = room(own)
    good = token(own, room_id)
    requests.delete(f"{own.api_url}/rooms/{room_id}", headers=KEY, timeout=10)

    assert client(room_id, good).create()["status_code"] == 404


def test_every_frame_shows_a_good_token(own: Sandbox, client: Connect) -> None:
    """One without ends the call, though the last one was good."""
    one = client(room(own))
    who = one.join()
    one.token = "another"

    assert one.ask(janus="keepalive")[0]["status_code"] == 401
    assert one.closed() == 1008
    until(lambda: look(own, who)["state"] == "left", what="leaving")


def test_who_shows_a_new_token_may_stay_as_long_as_that_one_lives(own: Sandbox, client: Connect) -> None:
    """This is all that updateClientToken does."""
    room_id = room(own)
    one = client(room_id, token(own, room_id, 20))
    who = one.join()
    one.token = token(own, room_id, 600)

    assert one.ask(janus="keepalive")[0]["janus"] == "ack"
    assert float(str(look(own, who)["token_expires_in"])) > 500


def test_whose_token_runs_out_is_dropped_without_having_asked_anything(own: Sandbox, client: Connect) -> None:
    """Told so with the status that the SDK takes for the end."""
    room_id = room(own)
    one = client(room_id, token(own, room_id, 20))
    who = one.join()
    own.control("POST", "clock", advance=21)

    assert one.next()["status_code"] == 401
    assert one.closed() == 1008
    assert look(own, who)["left_reason"] == "token_expired"


def test_a_full_room_lets_nobody_in(own: Sandbox, client: Connect) -> None:
    """The session opens, the joining is refused."""
    room_id = room(own, max_participants=2)
    client(room_id).join()
    client(room_id).join()
    late = client(room_id)
    late.create()
    display = base64.b64encode(b'{"participantId":"7f3cf3f4-0000-4000-8000-000000000002"}').decode()
    body = {"request": "join", "room": room_id, "display": display}

    refused = late.ask(janus="message", handle_id=late.attach("audiobridge"), body=body)[-1]

    assert (refused["status_code"], refused["error_message"]) == (403, "request rejected")


def test_those_who_are_in_are_listed_to_who_comes(own: Sandbox, client: Connect) -> None:
    """Those who came by a control call too."""
    room_id = room(own)
    simulated = own.control("POST", "participants", token=token(own, room_id), context="by call")
    one = client(room_id)
    one.create()
    handle = one.attach("audiobridge")
    chosen = base64.b64encode(b'{"participantId":"7f3cf3f4-0000-4000-8000-000000000001"}').decode()

    joined = one.ask(janus="message", handle_id=handle, body={"request": "join", "display": chosen})[-1]

    listed = joined["plugindata"]["data"]["participants"]
    shown = [base64.b64decode(entry["display"]).decode() for entry in listed]
    assert len(shown) == 1
    assert simulated["id"] in shown[0]
    assert "by call" in shown[0]


def test_those_who_are_in_are_told_who_comes(own: Sandbox, client: Connect) -> None:
    """Once."""
    room_id = room(own)
    one = client(room_id)
    one.join()
    other = client(room_id).join("second")

    told = one.until("audiobridge")

    assert told["audiobridge"] == "joined"
    assert "id" not in told
    assert [other in base64.b64decode(entry["display"]).decode() for entry in told["participants"]] == [True]


def test_those_who_stay_are_told_who_goes(own: Sandbox, client: Connect) -> None:
    """By the number that they were told of before."""
    room_id = room(own)
    one, other = client(room_id), client(room_id)
    one.join()
    other.join()
    number = one.until("audiobridge")["participants"][0]["id"]
    other.leave()

    assert one.until("audiobridge") == {"audiobridge": "event", "leaving": number}


def test_who_closes_the_connection_has_left(own: Sandbox, client: Connect) -> None:
    """Of its own will."""
    one = client(room(own))
    who = one.join()
    one.leave()

    assert until(lambda: look(own, who)["left_reason"], what="leaving") == "user_initiated"


def test_who_destroys_the_session_has_left(own: Sandbox, client: Connect) -> None:
    """This is how the SDK says good-bye."""
    one = client(room(own))
    who = one.join()

    assert one.ask(janus="destroy")[0]["janus"] == "success"
    assert look(own, who)["left_reason"] == "user_initiated"


def test_who_is_kicked_is_told_so(own: Sandbox, client: Connect) -> None:
    """The SDK makes ``participant_leaving`` of it, and hangs up."""
    one = client(room(own))
    who = one.join()
    act(own, str(look(own, who)["session_id"]), "kick", participants=[who])

    told = one.until("audiobridge")

    assert list(told) == ["audiobridge", "kicked"]


def test_a_meeting_that_is_ended_is_destroyed(own: Sandbox, client: Connect) -> None:
    """For everybody."""
    room_id = room(own)
    one, other = client(room_id), client(room_id)
    who = one.join()
    other.join()
    act(own, str(look(own, who)["session_id"]), "end")

    assert [each.until("videoroom")["videoroom"] for each in (one, other)] == ["destroyed", "destroyed"]


def test_others_are_told_of_a_stream_and_of_its_end(own: Sandbox, client: Connect) -> None:
    """So that they could subscribe to it."""
    room_id = room(own)
    one, other = client(room_id), client(room_id)
    one.join()
    who = other.join()
    number = other.publish(who)

    assert [entry["id"] for entry in one.until("videoroom")["publishers"]] == [number]

    other.leave()
    assert one.until("videoroom")["unpublished"] == number


def test_who_publishes_is_told_of_being_muted_and_unmuted(own: Sandbox, client: Connect) -> None:
    """And so is everybody else."""
    room_id = room(own)
    one, other = client(room_id), client(room_id)
    who = one.join()
    other.join()
    number = one.publish(who)
    for each in (one, other):
        assert "publishers" in each.until("videoroom")
    session_id = str(look(own, who)["session_id"])

    told = []
    for action in ("mute", "unmute"):
        act(own, session_id, action, participants=[who])
        told += [(each.until("videoroom")["audio-moderation"]) for each in (one, other)]

    assert told == ["muted", "muted", "unmuted", "unmuted"]
    assert number > 0


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"janus": "dance"}, 453),
        ({"janus": "keepalive", "session_id": 4711}, 458),
        ({"janus": "trickle", "handle_id": 4711}, 459),
        ({"janus": "attach", "plugin": "janus.plugin.textroom"}, 460),
    ],
    ids=["unknown request", "no such session", "no such handle", "no such plugin"],
)
def test_what_makes_no_sense_is_an_error_of_the_media_server(
    own: Sandbox, client: Connect, frame: dict[str, object], code: int
) -> None:
    """With its own codes; the connection goes on."""
    one = client(room(own))
    one.create()

    assert one.ask(**frame)[0]["error"]["code"] == code
    assert one.ask(janus="keepalive")[0]["janus"] == "ack"


def test_there_is_nothing_at_other_paths(own: Sandbox) -> None:
    """A path names a room, or is none."""
    with pytest.raises(InvalidStatus) as refused:
        Client(own, "not-a-room", "x")

    assert refused.value.response.status_code == 404


def test_the_certificate_is_for_the_sdks_host_and_has_the_key_that_is_told(own: Sandbox) -> None:
    """By the hash of its key a browser can be told to accept it, and no other."""
    told = own.control("GET", "signalling")
    address, port = told["listening"].split(":")

    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate((address, int(port))).encode())

    public = shown.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert told["host"] in names.get_values_for_type(x509.DNSName)
    assert told["spki_sha256"] == base64.b64encode(hashlib.sha256(public).digest()).decode()
    assert told["chromium"][0].endswith(f"MAP {told['host']}:443 {told['listening']}")


OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
a=mid:0
a=sendrecv
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:1
a=sendonly
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack pli
""".replace("\n", "\r\n")


def test_an_answer_agrees_to_every_section_in_the_direction_that_fits() -> None:
    """With the first codec of each, and nothing else of the offer."""
    lines = answer(OFFER).split("\r\n")

    assert [line for line in lines if line.startswith(("m=", "a=mid", "a=sendrecv", "a=recvonly", "a=rtpmap"))] == [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "a=sendrecv",
        "a=rtpmap:111 opus/48000/2",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:1",
        "a=recvonly",
        "a=rtpmap:96 VP8/90000",
    ]


def test_an_answer_names_no_address() -> None:
    """So that no packet goes anywhere."""
    assert "a=candidate" not in answer(OFFER)


@pytest.mark.parametrize("text", ["", "v=0", "hello", "m=audio 9 UDP 0"])
def test_what_is_no_offer_has_no_answer(text: str) -> None:
    """Said by ``ValueError``."""
    with pytest.raises(ValueError, match="not a session description"):
        answer(text)
