"""The calls of the README, asked of what ``make run`` starts, in the README's order: each answer is as printed there,
times, ids and secrets aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.commands.test_dev import Dev
from tests.processes import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(GET|POST|PUT|DELETE) +(/\S+)(.*)", re.DOTALL)
# What is another one each time, and must be of the same kind: moments, ids, and secrets that are cut short.
OTHERS = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:]+Z|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,32}|guest:\S+|.*\.\.\..*", re.DOTALL
)
LIVES = {"expires_in", "refresh_after"}
DAY_OPENS, DAY_CLOSES = "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"


def part(begin: str, end: str) -> list[tuple[str, str]]:
    """The blocks between two headings, each with its language."""
    _, _, rest = README.partition(f"\n## {begin}\n")
    return BLOCK.findall(rest.partition(f"\n## {end}\n")[0])


class House:
    """``make run``, and a reader who pastes: what was printed stands for what came instead."""

    def __init__(self, dev: Dev) -> None:
        self.url = f"http://127.0.0.1:{dev.ports['PORT']}"
        self.sandbox = f"http://127.0.0.1:{dev.ports['SANDBOX_PORT']}/sandbox"
        tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        later = tomorrow + timedelta(hours=1)
        self.instead = {DAY_OPENS: f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}", DAY_CLOSES: f"{later:%Y-%m-%dT%H:%M:%SZ}"}

    def bearer(self, user: str) -> str:
        asked = {"headers": {"Accept": "text/plain"}, "data": json.dumps({"user": user}), "timeout": 10}
        return requests.post(f"{self.sandbox}/idp/token", **asked).text

    def ask(self, call: str, user: str | None) -> requests.Response:
        """What a block says, by a user."""
        # A code holds the id of its invite: the longest first.
        for printed in sorted(self.instead, key=len, reverse=True):
            call = call.replace(printed, self.instead[printed])
        found = CALL.fullmatch(call.strip())
        assert found is not None, call
        method, path, body = found.groups()
        headers = {} if user is None else {"Authorization": f"Bearer {self.bearer(user)}"}
        sent = json.loads(body) if body.strip() else None
        return requests.request(method, self.url + path, json=sent, headers=headers, timeout=10)

    def compare(self, printed: Any, real: Any, where: str = "") -> None:
        """The same, but for what is another one each time."""
        assert type(printed) is type(real), where
        if isinstance(printed, dict):
            assert list(printed) == list(real), where
            for name in printed:
                self.compare(printed[name], real[name], f"{where}/{name}")
        elif isinstance(printed, list):
            assert len(printed) == len(real), where
            for number, (one, other) in enumerate(zip(printed, real, strict=True)):
                self.compare(one, other, f"{where}/{number}")
        elif where.rpartition("/")[2] in LIVES:
            assert abs(printed - real) <= max(60, printed / 5), where
        elif isinstance(printed, str) and OTHERS.fullmatch(printed):
            self.instead.setdefault(printed, real)
        else:
            assert printed == real, where

    def join(self, user: str) -> str:
        """A participant of the standup; its id."""
        given = self.ask("POST /v1/rooms/standup/token", user).json()
        joined = {"token": given["token"], "context": given["context"]}
        return str(requests.post(f"{self.sandbox}/participants", json=joined, timeout=10).json()["id"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = Dev(tmp_path_factory.mktemp("dev")).started()
    yield House(made)
    made.process.terminate()
    made.process.wait(30)


def test_the_calls(house: House) -> None:
    """A token, a room that is not open yet, a kick, a guest."""
    blocks = part("The calls", "Telnyx's own API, per user")
    shown = [(text, language) for language, text in blocks if language in {"", "json"}]
    asked = 0
    for number, (text, language) in enumerate(shown):
        if language == "json":
            continue
        for call in re.split(r"\n\n(?=[A-Z]+ /)", text):
            if CALL.match(call) is None:
                continue
            user = None if "redeem" in call else "ada" if "/admin/" in call else "alice"
            answer = house.ask(call, user)
            assert answer.ok, f"{call}{answer.text}"
            asked += 1
        if CALL.match(text) and number + 1 < len(shown) and shown[number + 1][1] == "json":
            house.compare(json.loads(shown[number + 1][0]), answer.json(), call)

    assert asked == 5
    (refusal,) = [json.loads(text) for text, _ in shown if '"not_open_yet"' in text]
    answer = house.ask("POST /v1/rooms/review/token", "alice")
    house.compare(refusal, answer.json())
    assert answer.json()["opens_at"] == house.instead[DAY_OPENS]


def test_the_kick(house: House) -> None:
    """Who was in is put out and banned."""
    (kicked,) = [
        json.loads(text)
        for _, text in part("Run the meeting", "Telnyx's own API, per user")
        if '"removal_deadline"' in text
    ]
    bob = house.join("bob")
    answer = house.ask('POST /v1/rooms/standup/actions/kick {"users": ["bob"]}', "alice")

    assert answer.status_code == 200
    house.compare(kicked, answer.json())
    assert answer.json()["participants"] == [bob]
    house.ask("DELETE /v1/rooms/standup/bans/bob", "alice").raise_for_status()


def test_the_api_of_telnyx(house: House) -> None:
    """A moderator mutes, a participant may not look, each with the status and the body that are printed."""
    bob = house.join("bob")
    room = house.ask("POST /v1/rooms/standup/token", "alice").json()["room"]["id"]
    (session,) = house.ask(f"GET /v2/room_sessions?filter[room_id]={room}&filter[active]=true", "alice").json()["data"]
    (text,) = [
        text for _, text in part("Telnyx's own API, per user", "Connect your identity provider") if "/v2/" in text
    ]
    muting, looking = text.strip().splitlines()
    call, status, printed = re.fullmatch(r"(.*?)\s{2,}(\d{3}) (.*)", muting).groups()  # type: ignore[union-attr]
    answer = house.ask(call.replace("{id}", session["id"]).replace('"..."', f'"{bob}"'), "alice")

    assert (answer.status_code, answer.json()) == (int(status), json.loads(printed))
    status, printed = re.fullmatch(r"GET .*?\s{2,}(\d{3}) (.*)", looking).groups()  # type: ignore[union-attr]
    answer = house.ask(f"GET /v2/rooms/{room}", "bob")
    error = answer.json()["errors"][0]
    assert (answer.status_code, f'"code": "{error["code"]}", "title": "{error["title"]}"' in printed) == (
        int(status),
        True,
    )


def test_the_pages_that_it_names(house: House) -> None:
    """The console, the documentation, and the words about them."""
    for path in ("/console/", "/docs", "/openapi.yaml", "/healthz", "/readyz"):
        assert requests.get(house.url + path, timeout=10).ok, path
    assert Path(ROOT / "docs/screenshots/invite.png").exists()
