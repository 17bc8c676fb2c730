"""One table of stories, told by each package that can be run here: they ask the same and tell the same."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from tests.clients import kotlin, packages
from tests.clients.scripted import Request, ScriptedServer
from tests.clients.story_table import STORIES, Story, what_a_status_means

Told = list[dict[str, Any]]


def on_the_web(plans: str) -> Any:
    packages.web()
    return json.loads(packages.run(["node", str(packages.HERE / "stories.mjs")], given=plans))


def on_android(plans: str) -> Any:
    return json.loads(packages.run(["java", "-cp", kotlin.compiled(), "videotoken.client.StoriesKt"], given=plans))


# Each takes the plans of stories as JSON and answers what the app was told, by the story's name.
PLATFORMS: Final[Mapping[str, Callable[[str], Any]]] = {"web": on_the_web, "android": on_android}


class Library:
    """All stories of a platform, told at once when the first is asked for."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._told: dict[str, dict[str, Told] | BaseException] = {}

    def told(self, platform: str, story: Story) -> Told:
        if platform not in self._told:
            self._told[platform] = self._tell(platform)
        match self._told[platform]:
            case packages.NotHere() as why:
                pytest.skip(str(why))
            case BaseException() as failure:
                raise failure
            case told:
                return told[story.name]

    def _tell(self, platform: str) -> dict[str, Told] | BaseException:
        stories = [one for one in STORIES if platform in one.platforms]
        plans = [plan(one, self._server.url(f"{platform}-{one.name}")) for one in stories]
        try:
            told: dict[str, Told] = PLATFORMS[platform](json.dumps(plans))
        except (packages.NotHere, AssertionError, subprocess.SubprocessError) as failure:
            # Not tried again for each story.
            return failure
        return told

    def requests(self, platform: str, name: str) -> Sequence[Request]:
        """What the service was asked in a story."""
        self.told(platform, next(story for story in STORIES if story.name == name))
        return self._server.requests(f"{platform}-{name}")


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


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    scripts = {f"{platform}-{story.name}": story.answers for platform in PLATFORMS for story in STORIES}
    server = ScriptedServer(scripts)
    yield Library(server)
    server.stop()


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


@pytest.mark.parametrize(
    ("platform", "story"),
    [
        pytest.param(platform, story, id=f"{platform}-{story.name}")
        for platform in PLATFORMS
        for story in STORIES
        if platform in story.platforms
    ],
)
def test_a_story_goes_as_written(library: Library, platform: str, story: Story) -> None:
    """The app is told this and nothing else, at these moments."""
    given = library.told(platform, story)

    matches = [fits(expected, one) for expected, one in zip(story.told, given, strict=False)]
    assert matches == [True] * len(story.told), given
    assert len(given) == len(story.told), given


@pytest.fixture(params=PLATFORMS)
def asked(request: pytest.FixtureRequest, library: Library) -> Any:
    """What the service was asked in a story, on one platform."""
    return functools.partial(library.requests, request.param)


def test_an_alias_is_one_segment_of_the_path_whatever_is_in_it(asked: Any) -> None:
    """Percent-encoded, so that no other call is reached."""
    (request,) = asked("odd-alias")

    assert request.path == "/v1/rooms/a%2Fb%20c%3Fd%3D1%23%C3%BC%25/token"


def test_a_body_holds_what_the_app_gave(asked: Any) -> None:
    """And nothing where it gave nothing: unknown members would be refused."""
    (plain,) = asked("plain")
    (members,) = asked("members")

    assert (plain.body, members.body) == ({}, {"device_id": "tablet-1", "display_name": 'Zoë "Z" \\ 名'})


def test_a_call_carries_the_bearer_and_a_json_body(asked: Any) -> None:
    """As the service wants it."""
    (request,) = asked("plain")

    assert request.headers["Authorization"] == "Bearer bearer"
    assert request.headers["Content-Type"].partition(";")[0] == "application/json"


def test_a_redirect_is_not_followed(asked: Any) -> None:
    """The bearer goes to nobody else."""
    assert len(asked("join-302-bare")) == 1


def test_a_renewed_bearer_is_sent_at_once(asked: Any) -> None:
    """In the place of the one that was refused."""
    sent = [request.headers["Authorization"] for request in asked("renewal-bearer-refused")]

    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


@pytest.mark.parametrize("name", ["stopped", "stopped-in-trouble", "stopped-while-joining"])
def test_nothing_is_asked_after_it_was_stopped(asked: Any, name: str) -> None:
    """However long one waits."""
    before = {"stopped": 1, "stopped-in-trouble": 2, "stopped-while-joining": 1}

    assert len(asked(name)) == before[name]


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
