"""One table of stories, told by the web package; ``test_android_stories`` has the Android library tell the same."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.clients import packages
from tests.clients.answer_stories import what_a_status_means
from tests.clients.scripted import Request, ScriptedServer
from tests.clients.story import Story
from tests.clients.story_table import STORIES
from tests.processes import running

Told = list[dict[str, Any]]


class Library:
    """The stories of one platform, all told when the first is asked for. ``tell`` takes their plans as JSON and answers
    what the app was told, by the story's name.
    """

    def __init__(self, platform: str, tell: Callable[[str], dict[str, Told]]) -> None:
        self._stories = [story for story in STORIES if platform in story.platforms]
        self._server = ScriptedServer({story.name: story.answers for story in self._stories})
        self._tell = tell
        self._told: dict[str, Told] | Exception | None = None

    def told(self, name: str) -> Told:
        """What the app was told in a story."""
        if self._told is None:
            plans = json.dumps([plan(story, self._server.url(story.name)) for story in self._stories])
            try:
                self._told = self._tell(plans)
            except (packages.NotHere, AssertionError, subprocess.SubprocessError) as failure:
                # Not tried again for each story.
                self._told = failure
        if isinstance(self._told, packages.NotHere):
            pytest.skip(str(self._told))
        if isinstance(self._told, Exception):
            raise self._told
        return self._told[name]

    def requests(self, name: str) -> Sequence[Request]:
        """What the service was asked in a story."""
        self.told(name)
        return self._server.requests(name)

    def stop(self) -> None:
        self._server.stop()


def plan(story: Story, service: str) -> Mapping[str, Any]:
    return {
        "name": story.name,
        "service": service,
        "room": story.room,
        "until": story.until,
        "options": story.options,
        "actions": story.actions,
        "bearers": ["never" if bearer is ... else bearer for bearer in story.bearers],
        "never_end": [number for number, answer in enumerate(story.answers) if answer.never_ends],
    }


def fits(expected: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether an event is the one that was expected, to the millisecond."""
    low, high = expected["at"] if isinstance(expected["at"], tuple) else (expected["at"], expected["at"])
    if not low - 0.001 <= given["at"] <= high + 0.001:
        return False
    rest = {name: value for name, value in expected.items() if name != "at"}
    return {name: value for name, value in given.items() if name != "at"} == {
        name: pytest.approx(value, abs=0.002) if isinstance(value, float | int) else value
        for name, value in rest.items()
    }


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    def tell(plans: str) -> dict[str, Told]:
        packages.web()
        told: dict[str, Told] = json.loads(packages.run(["node", str(packages.HERE / "stories.mjs")], given=plans))
        return told

    yield from running(Library("web", tell))


def check(library: Library, story: Story) -> None:
    """Fails unless the app was told what the story says, and nothing else."""
    given = library.told(story.name)
    matches = [fits(expected, one) for expected, one in zip(story.told, given, strict=False)]
    assert matches == [True] * len(story.told), given
    assert len(given) == len(story.told), given


@pytest.mark.parametrize("story", [pytest.param(story, id=story.name) for story in STORIES])
def test_a_story_goes_as_written(library: Library, story: Story) -> None:
    """The app is told this and nothing else, at these moments."""
    check(library, story)


def test_an_alias_is_one_segment_of_the_path_whatever_is_in_it(library: Library) -> None:
    """Percent-encoded, so that no other call is reached."""
    (request,) = library.requests("odd-alias")

    assert request.path == "/v1/rooms/a%2Fb%20c%3Fd%3D1%23%C3%BC%25/token"


def test_a_body_holds_what_the_app_gave(library: Library) -> None:
    """And nothing where it gave nothing: unknown members would be refused."""
    (plain,) = library.requests("plain")
    (members,) = library.requests("members")

    assert (plain.body, members.body) == ({}, {"device_id": "tablet-1", "display_name": 'Zoë "Z" \\ 名'})


def test_a_call_carries_the_bearer_and_a_json_body(library: Library) -> None:
    """As the service wants it."""
    (request,) = library.requests("plain")

    assert request.headers["Authorization"] == "Bearer bearer"
    assert request.headers["Content-Type"].partition(";")[0] == "application/json"


def test_a_redirect_is_not_followed(library: Library) -> None:
    """The bearer goes to nobody else."""
    assert len(library.requests("join-302-bare")) == 1


def test_a_renewed_bearer_is_sent_at_once(library: Library) -> None:
    """In the place of the one that was refused."""
    sent = [request.headers["Authorization"] for request in library.requests("renewal-bearer-refused")]

    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


@pytest.mark.parametrize("name", ["stopped", "stopped-in-trouble", "stopped-while-joining"])
def test_nothing_is_asked_after_it_was_stopped(library: Library, name: str) -> None:
    """However long one waits."""
    before = {"stopped": 1, "stopped-in-trouble": 2, "stopped-while-joining": 1}

    assert len(library.requests(name)) == before[name]


def test_no_status_is_left_out() -> None:
    """Every class, each one that the service or a proxy uses, and each meaning."""
    from_table = {story.name for story in STORIES}
    meanings = {what_a_status_means(status)[1] for status in (200, 302, 401, 404, 429, 503)}

    assert {"renewal-408-bare", "renewal-429-page", "renewal-403-page", "renewal-500-bare"} <= from_table
    assert meanings == {"retry", "report", "sign_in"}


def test_names_of_stories_are_their_own() -> None:
    """Each has its script under its name."""
    doubles = [name for name, group in itertools.groupby(sorted(story.name for story in STORIES)) if len([*group]) > 1]

    assert doubles == []
