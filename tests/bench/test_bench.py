"""The benchmark measures what it says: its servers answer, its tokens are the service's own, its figures add up."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jwt
import pytest
import redis
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.bench import picture, prices, results
from tests.bench.apps import equal
from tests.bench.contestants import OPENERS, Contestant, Field
from tests.bench.load import Burst
from tests.bench.noise import Patience
from tests.bench.rounds import BrokenPromise, Meter, Sample, added, interleaved, ratio
from tests.bench.stage import GUNICORN, HERE, Server, Stage
from tests.bench.tokens import multiply
from tests.processes import ROOT

pytestmark = pytest.mark.long


PEOPLE = 3


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with Stage(1, latency=0.0) as stage:
        yield Field.prepared(stage, PEOPLE)


@pytest.fixture(scope="module", params=["equal", "equal-flask"])
def naive(field: Field, request: pytest.FixtureRequest) -> Contestant:
    return OPENERS[request.param](field)


def answer(contestant: Contestant, bearer: str | None = None, line: int = 0) -> requests.Response:
    """What it answers to a line of its file, or to that request with another bearer."""
    method, path, own = contestant.ask().read_text("ascii").split("\n")[line].split()
    headers = {"Authorization": f"Bearer {bearer or own}"}
    return requests.request(method, contestant.server.url + path, headers=headers, timeout=10)


def sample(rate: float, p50: float = 1.0, *, reads: float = 1.0) -> Sample:
    seen = Burst(int(rate), 1.0, 0, 0, 0, p50, p50, p50)
    return Sample(seen, seen.requests, server_us=100.0, redis_us=10.0, reads=reads, upstream=0.0)


def made(name: str, reads: float | None = None) -> Contestant:
    return Contestant(name, f"title of {name}", Server("", 0, metrics=""), lambda: HERE, reads=reads)


def counted(contestant: Contestant) -> dict[str, float]:
    lines = requests.get(f"{contestant.server.url}/metrics", timeout=10).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_the_python_contestants_answer_what_they_are_measured_for(field: Field, naive: Contestant) -> None:
    """The route that answers a constant answers one of our answers, the others a token of that user or of upstream."""
    ours, bare, thirty, uncached = (OPENERS[name](field) for name in ("ours-hs256", "bare", "thirty", "uncached"))
    asked = field.stage.sandbox.counts().get("generate_join_client_token", 0)
    given = {one.name: answer(one) for one in (ours, bare, thirty, uncached, naive)}

    assert [one.status_code for one in given.values()] == [200] * 5
    assert given["ours-hs256"].json()["source"] == given["bare"].json()["source"] == "cache"
    assert given["thirty"].json() == json.loads(field.stage.redis.get(f"token:{field.room.alias}:user-0") or "")
    assert given["uncached"].json()["token"].count(".") == 2
    assert field.stage.sandbox.counts()["generate_join_client_token"] == asked + 1
    assert abs(len(given["bare"].content) - len(given["ours-hs256"].content)) < 16
    assert [answer(one, "a.b.c").status_code for one in (ours, thirty, uncached, naive)] == [401] * 4


def test_the_naive_service_answers_as_much_as_ours(field: Field, naive: Contestant) -> None:
    """The members of its answer, the ticket among them, are those of ours, and none is much shorter."""
    ours, theirs = answer(OPENERS["ours-hs256"](field)).json(), answer(naive).json()

    assert {name: type(value) for name, value in theirs.items()} == {name: type(value) for name, value in ours.items()}
    assert {name: theirs[name].keys() for name in ("room", "participant")} == {
        name: ours[name].keys() for name in ("room", "participant")
    }
    assert json.loads(theirs["context"]).keys() == json.loads(ours["context"]).keys()
    assert 0.9 < len(json.dumps(theirs)) / len(json.dumps(ours)) < 1.2


def test_the_naive_service_opens_a_sealed_token_and_signs_a_ticket(field: Field, naive: Contestant) -> None:
    """What it answers lies sealed in Redis, and its ticket verifies by its key and names the user and the room."""
    shown = answer(naive).json()
    cipher = AESGCM(bytes.fromhex(field.keys["BENCH_SEALING_KEY"]))
    key = equal.token_key(field.room.alias, "user-0")
    sealed = field.stage.redis.get(key)
    assert isinstance(sealed, bytes)
    signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(field.keys["BENCH_TICKET_KEY"]))
    ticket = json.loads(shown["context"])["ticket"]
    claims = jwt.decode(ticket, signer.public_key(), algorithms=["EdDSA"], audience="room-context")

    assert shown["token"].encode() not in sealed
    assert equal.unseal(cipher, key, sealed)["token"] == shown["token"]
    assert (claims["sub"], claims["room"]) == ("user-0", field.room.alias)


def test_the_naive_service_counts_each_answer_and_writes_two_lines_about_it(naive: Contestant) -> None:
    """Four metrics go up by one, and the last two lines of its log are JSON of the same request."""
    before = counted(naive)
    request_id = answer(naive).headers["X-Request-Id"]
    after = counted(naive)
    log = naive.server.log
    assert log is not None
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if request_id in line]

    assert {name for name in after if "bucket" not in name and after[name] == before.get(name, 0) + 1} == {
        'verifications_total{outcome="good"}',
        'tokens_handed_out_total{source="cache"}',
        "token_remaining_seconds_count",
        'http_request_seconds_count{method="POST",route="/v1/rooms/{room}/token",status="200"}',
    }
    assert [line["message"] for line in lines] == ["token handed out", "request"]


@pytest.mark.parametrize("name", ["ours-renewal", "equal-renewal"])
def test_tokens_in_their_second_half_are_renewed(field: Field, name: str) -> None:
    """Once each costs one refresh upstream, and is answered from the cache after that."""
    renewal = OPENERS[name](field)
    first = answer(renewal).json()["source"]
    path = renewal.ask()
    fixed = replace(renewal, ask=lambda: path)
    before = field.stage.sandbox.counts().get("refresh_client_token", 0)
    sources = [first, *(answer(fixed).json()["source"] for _ in range(2))]

    assert sources == ["issued" if name == "ours-renewal" else "refreshed", "refreshed", "cache"]
    assert field.stage.sandbox.counts()["refresh_client_token"] == before + 1


def test_redis_can_be_kept_at_a_distance(field: Field) -> None:
    """Each reply comes so many milliseconds late, and replies that are many segments long come whole and in order."""
    near, far = (redis.Redis.from_url(field.stage.redis_url(distance)) for distance in (0, 3))
    texts = [bytes([65 + number]) * 200_000 for number in range(5)]
    with near, far, far.pipeline(transaction=False) as pipeline:
        for text in texts:
            pipeline.echo(text)

        assert pipeline.execute() == texts
        assert field.stage.ping_ms(3) >= 3 > field.stage.ping_ms(0)


def test_copies_of_tokens_fill_redis(field: Field) -> None:
    """Without a change to those that are asked for."""
    ours, room = OPENERS["ours-hs256"](field), field.room
    given = [answer(ours, line=line).json()["token"] for line in range(PEOPLE)]
    multiply(field.stage.redis, room, 10 * PEOPLE)

    assert [len(room.keys(field.stage.redis, kind)) for kind in ("token", "refresh")] == [10 * PEOPLE] * 2
    assert [answer(ours, line=line).json()["token"] for line in range(PEOPLE)] == given


def test_every_python_server_runs_under_the_same_worker(field: Field) -> None:
    """Gunicorn's gevent worker, the service too."""
    (conf,) = (ROOT / "service").glob("**/gunicorn.conf.py")
    own = {"PROMETHEUS_MULTIPROC_DIR": str(field.stage.folder)}
    env = {**os.environ, **field.stage.settings(field.stage.hs256), **own}
    command = [sys.executable, "-m", "gunicorn", "--config", str(conf), "--print-config"]
    printed = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ours = next(line.split()[-1] for line in printed.splitlines() if line.startswith("worker_class "))

    assert ours == GUNICORN[GUNICORN.index("--worker-class") + 1] == "gevent"


def test_a_worker_at_work_is_sampled(field: Field, naive: Contestant) -> None:
    """The shares of all parts of its processor time add up to all of it."""

    def work() -> None:
        for _ in range(300):
            answer(naive)

    shares = prices.sampled(naive.server.pid, field.stage.folder, work)

    assert sum(shares.values()) == pytest.approx(1)
    assert shares["ticket"] > 0
    assert shares[prices.REST] > 0


def test_a_sample_belongs_to_the_first_part_that_it_names() -> None:
    """What a library does for a part is that part's; what no part names is the web server's."""
    ticket = "gunicorn.a.run;service.web.join.x;service.crypto.TicketSigner.sign;json.encoder.encode 3"

    shares = prices.shares([ticket, "gunicorn.a.run;gevent.socket.send 1"])

    assert (shares["ticket"], shares[prices.REST], shares["the endpoint itself"]) == (0.75, 0.25, 0)


def test_every_part_of_an_answer_is_found_in_the_service() -> None:
    """A part whose code was renamed would cost nothing."""
    names = [name for path in (ROOT / "service").rglob("*.py") for name in functions(path)]

    assert [part for part, named in prices.PARTS.items() if not any(re.search(named, name) for name in names)] == []


def functions(path: Path) -> Iterator[str]:
    """What is defined in a module, with the names that frames have."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield from (
                f"{module}.{node.name}.{child.name}" for child in node.body if isinstance(child, ast.FunctionDef)
            )
        elif isinstance(node, ast.FunctionDef):
            yield f"{module}.{node.name}"


def test_a_burst_with_more_round_trips_than_promised_does_not_count(field: Field) -> None:
    """So the one read that a hit costs is held in every run."""
    meter, hit = Meter(field.stage, connections=1), made("ours", reads=1)

    meter.check(hit, sample(1000, reads=1.001), 1)
    with pytest.raises(BrokenPromise, match="round trips"):
        meter.check(hit, sample(1000, reads=1.1), 1)


def test_a_burst_with_refusals_does_not_count(field: Field) -> None:
    """Fast refusals are no throughput."""
    meter = Meter(field.stage, connections=1)
    refused = Burst(1000, 1.0, 0, 1, 0, 1.0, 1.0, 1.0)

    with pytest.raises(BrokenPromise, match="1 refused"):
        meter.check(made("any"), replace(sample(1000), burst=refused), 1)


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that slows down in the middle changes no ratio."""
    ours, theirs = [sample(1000), sample(500), sample(400)], [sample(2000), sample(1000), sample(800)]

    assert ratio(ours, theirs) == 0.5
    assert added([sample(1, 3.0), sample(1, 9.0)], [sample(1, 1.0), sample(1, 5.0)]) == 3.0


def test_every_round_has_everybody_once() -> None:
    """Whatever the order, all have as many samples as there are rounds."""
    taken = interleaved({"one": lambda: sample(1), "two": lambda: sample(2)}, 4)

    assert {name: len(samples) for name, samples in taken.items()} == {"one": 4, "two": 4}


def test_patience_ends() -> None:
    """On a machine that is never quiet a run ends all the same, and says what it kept."""
    patience = Patience(0.0, most_foreign=-1.0)

    assert patience.quietly(lambda: "taken") == "taken"
    assert (patience.thrown_away, patience.kept_noisy) == (0, 1)


def test_what_is_not_taken_in_quiet_is_taken_again() -> None:
    """Until there is no patience left."""
    patience, taken = Patience(0.01, most_foreign=-1.0, look_secs=0.004), []

    patience.quietly(lambda: taken.append(1))

    assert patience.kept_noisy == 1
    assert len(taken) == patience.thrown_away + 1


def test_the_picture_shows_each_row_of_the_results(tmp_path: Path) -> None:
    """A well-formed drawing of what was saved, with every title and figure."""
    taken = {"bare": [sample(2000)], "ours-hs256": [sample(1500)]}
    found = {
        "machine": results.machine(),
        "arguments": {"workers": 1, "users": 10, "rounds": 1, "connections": 32},
        "rows": results.rows([made("bare"), made("ours-hs256")], taken),
    }
    file = tmp_path / "results.json"
    file.write_text(json.dumps(found), "utf-8")
    drawing = ET.fromstring(picture.drawn(json.loads(file.read_text("utf-8"))))

    texts = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]

    assert {"title of bare", "title of ours-hs256", "2,000", "1,500  (0.75 of bare)"} <= set(texts)


def test_the_saved_picture_and_tables_are_those_of_the_saved_results() -> None:
    """Nobody changes one without the other."""
    found = json.loads((HERE / "results.json").read_text("utf-8"))
    scale = json.loads((HERE / "scale.json").read_text("utf-8"))
    readme = (HERE / "README.md").read_text("utf-8")

    assert (HERE / "results.svg").read_text("utf-8") == picture.drawn(found)
    assert results.in_readme("results", readme)[1] == results.text(found)
    assert results.in_readme("scale", readme)[1] == results.scale_text(scale)
