"""The benchmark measures what it says: its servers answer, its tokens are the service's own, its figures add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import requests

from tests.bench import picture, results
from tests.bench.contestants import OPENERS, Contestant, Field
from tests.bench.fill import LIFE_SECS
from tests.bench.load import Burst
from tests.bench.noise import Patience
from tests.bench.rounds import BrokenPromise, Meter, Sample, added, interleaved, ratio
from tests.bench.stage import HERE, Stage, users

PEOPLE = 3


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with Stage(1, latency=0.0) as stage:
        yield Field(stage, PEOPLE)


def answer(contestant: Contestant, bearer: str | None = None) -> requests.Response:
    """What it answers to the first line of its file, or to that request with another bearer."""
    method, path, own = contestant.ask().read_text("ascii").split("\n", 1)[0].split()
    headers = {"Authorization": f"Bearer {bearer or own}"}
    return requests.request(method, contestant.url + path, headers=headers, timeout=10)


def sample(rate: float, p50: float = 1.0) -> Sample:
    seen = Burst(int(rate), 1.0, 0, 0, 0, p50, p50, p50)
    return Sample(seen, seen.requests, server_us=100.0, redis_us=10.0, reads=1.0, commands={}, upstream=0.0)


def made(name: str) -> Contestant:
    return Contestant(name, f"title of {name}", "", 0, lambda: HERE)


def test_the_python_contestants_answer_what_they_are_measured_for(field: Field) -> None:
    """The route that answers a constant answers one of our answers, the others a token of that user or of upstream."""
    ours, bare, thirty, uncached = (OPENERS[name](field) for name in ("ours-hs256", "bare", "thirty", "uncached"))
    asked = field.stage.sandbox.counts().get("generate_join_client_token", 0)
    given = {one.name: answer(one) for one in (ours, bare, thirty, uncached)}

    assert [one.status_code for one in given.values()] == [200] * 4
    assert given["ours-hs256"].json()["source"] == given["bare"].json()["source"] == "cache"
    assert given["thirty"].json()["token"] == given["ours-hs256"].json()["token"]
    assert given["uncached"].json()["token"].count(".") == 2
    assert field.stage.sandbox.counts()["generate_join_client_token"] == asked + 1
    assert abs(len(given["bare"].content) - len(given["ours-hs256"].content)) < 16
    assert [answer(one, "a.b.c").status_code for one in (ours, thirty, uncached)] == [401] * 3


def test_tokens_that_were_filled_in_are_renewed_when_their_time_has_come(field: Field) -> None:
    """A pair of which the first half is over costs one refresh upstream, as one of the service's own does."""
    stage = field.stage
    place = stage.room("renewal")
    stage.filler(place).sealed(place, users(1), LIFE_SECS / 2 - 60)
    url = f"{stage.service(stage.hs256).url}/v1/rooms/{place.alias}/token"
    headers = {"Authorization": f"Bearer {stage.hs256.mint('user-0')}"}

    sources = [requests.post(url, headers=headers, timeout=10).json()["source"] for _ in range(2)]

    assert sources == ["refreshed", "cache"]


def test_a_burst_with_more_round_trips_than_promised_does_not_count(field: Field) -> None:
    """So the one read that a hit costs is held in every run."""
    meter = Meter(field.stage, connections=1)
    seen = Burst(1000, 1.0, 0, 0, 0, 1.0, 1.0, 1.0)
    once = {"evalsha": 1.0, "hmget": 1.0}
    hit = Contestant("ours", "", "", 0, lambda: HERE, reads=1)

    meter.check(hit, Sample(seen, 1000, 1.0, 1.0, 1.001, once, 0.0))
    with pytest.raises(BrokenPromise, match="round trips"):
        meter.check(hit, Sample(seen, 1000, 1.0, 1.0, 1.1, once, 0.0))


def test_a_burst_with_refusals_does_not_count(field: Field) -> None:
    """Fast refusals are no throughput."""
    meter = Meter(field.stage, connections=1)
    refused = Burst(1000, 1.0, 0, 1, 0, 1.0, 1.0, 1.0)

    with pytest.raises(BrokenPromise, match="1 refused"):
        meter.check(made("any"), Sample(refused, 1000, 1.0, 1.0, 0.0, {}, 0.0))


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that slows down in the middle changes no ratio."""
    ours, theirs = [sample(1000), sample(500), sample(400)], [sample(2000), sample(1000), sample(800)]

    assert ratio(ours, theirs) == 0.5
    assert added([sample(1, 3.0), sample(1, 9.0)], [sample(1, 1.0), sample(1, 5.0)]) == 3.0


def test_every_round_has_everybody_once() -> None:
    """Whatever the order, all have as many samples as there are rounds."""
    taken = interleaved([made("one"), made("two")], 4, lambda one: sample(len(one.name)))

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


def test_the_saved_picture_is_that_of_the_saved_results() -> None:
    """Nobody changes one without the other."""
    found = json.loads((HERE / "results.json").read_text("utf-8"))

    assert (HERE / "results.svg").read_text("utf-8") == picture.drawn(found)
