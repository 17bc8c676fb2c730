"""The same table of stories, told by the Android library on a JVM."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.clients import kotlin, packages
from tests.clients.story import Story
from tests.clients.story_table import STORIES
from tests.clients.test_stories import (
    Library,
    Told,
    check,
    test_a_body_holds_what_the_app_gave,
    test_a_call_carries_the_bearer_and_a_json_body,
    test_a_redirect_is_not_followed,
    test_a_renewed_bearer_is_sent_at_once,
    test_an_alias_is_one_segment_of_the_path_whatever_is_in_it,
    test_nothing_is_asked_after_it_was_stopped,
)
from tests.processes import running

pytestmark = pytest.mark.long


# They use the library of this module.
__all__ = [
    "test_a_body_holds_what_the_app_gave",
    "test_a_call_carries_the_bearer_and_a_json_body",
    "test_a_redirect_is_not_followed",
    "test_a_renewed_bearer_is_sent_at_once",
    "test_an_alias_is_one_segment_of_the_path_whatever_is_in_it",
    "test_nothing_is_asked_after_it_was_stopped",
]


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    def tell(plans: str) -> dict[str, Told]:
        command = ["java", "-cp", kotlin.compiled(), "videotoken.client.StoriesKt"]
        told: dict[str, Told] = json.loads(packages.run(command, given=plans))
        return told

    yield from running(Library("android", tell))


@pytest.mark.parametrize(
    "story", [pytest.param(story, id=story.name) for story in STORIES if "android" in story.platforms]
)
def test_a_story_goes_as_written(library: Library, story: Story) -> None:
    """As on the web."""
    check(library, story)
