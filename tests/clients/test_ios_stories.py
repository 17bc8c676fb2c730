"""The same table of stories, told by the iOS library where there is a Swift compiler."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.clients import packages, swift
from tests.clients.story import Story
from tests.clients.story_table import STORIES
from tests.clients.test_stories import (
    Library,
    Told,
    check,
    test_a_body_holds_what_the_app_gave,
    test_a_call_carries_the_bearer_and_a_json_body,
    test_a_renewed_bearer_is_sent_at_once,
    test_an_alias_is_one_segment_of_the_path_whatever_is_in_it,
    test_nothing_is_asked_after_it_was_stopped,
)
from tests.processes import running

pytestmark = pytest.mark.long
# Foundation for systems other than Apple's asks no delegate before it follows these.
REDIRECTS = re.compile(r"-30[12378]-")

# They use the library of this module.
__all__ = [
    "test_a_body_holds_what_the_app_gave",
    "test_a_call_carries_the_bearer_and_a_json_body",
    "test_a_renewed_bearer_is_sent_at_once",
    "test_an_alias_is_one_segment_of_the_path_whatever_is_in_it",
    "test_nothing_is_asked_after_it_was_stopped",
]


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    def tell(plans: str) -> dict[str, Told]:
        told: dict[str, Told] = json.loads(packages.run([swift.compiled()], given=plans))
        return told

    yield from running(Library("ios", tell))


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(story, id=story.name)
        for story in STORIES
        if "ios" in story.platforms and not REDIRECTS.search(story.name)
    ],
)
def test_a_story_goes_as_written(library: Library, story: Story) -> None:
    """As on the web."""
    check(library, story)
