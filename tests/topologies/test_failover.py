"""The master killed, and frozen and thawed, under Sentinels and in a Cluster: nobody is put out, nothing comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Sandbox, running
from tests.topologies.failover import BEHIND_RAW_SECS, FULL, NOISE_SECS, Story, told
from tests.topologies.servers import ClusterTopology, SentinelTopology, Server

pytestmark = pytest.mark.long


BLOWS = {"killed": (Server.kill, Server.start), "frozen": (Server.freeze, Server.thaw)}
KINDS = {"Sentinel": SentinelTopology, "Cluster": ClusterTopology}
STORIES = [("Sentinel", "frozen"), ("Cluster", "killed")]
LONG = [("Sentinel", "killed"), ("Cluster", "frozen")]


@pytest.fixture(scope="module", params=[*STORIES, *LONG] if FULL else STORIES, ids=" ".join)
def story(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Story]:
    """One failover, looked at by all tests."""
    kind, blow = request.param
    for servers in running(KINDS[kind]()):
        yield told(servers, sandbox, *BLOWS[blow])


def test_those_who_are_in_notice_nothing(story: Story) -> None:
    """Every token call of a user whom the process knows is a 200, before, during and after."""
    assert set(story.during) == {200}
    assert story.during[200] > 100


def test_writes_come_back_no_later_than_for_a_bare_client(story: Story) -> None:
    """Give or take a second, at every replica, also one that nobody asked anything meanwhile."""
    assert story.own_secs < story.raw_secs + BEHIND_RAW_SECS + NOISE_SECS


@pytest.mark.short
def test_a_ban_of_the_last_moment_stands(story: Story) -> None:
    """Its writer waited for a replica to have it."""
    assert story.after["mallory"] == (403, "banned")


def test_a_member_removed_before_stays_removed(story: Story) -> None:
    """And the others stay members."""
    assert story.after["bob"] == (404, "room_not_found")
    assert story.after["carol"][0] == 200


def test_a_revocation_stands(story: Story) -> None:
    """Bearers from before it are refused by the new master."""
    assert story.after["rita"] == (401, "session_revoked")


def test_the_old_master_that_returns_is_believed_by_nobody(story: Story) -> None:
    """Who was banned while it was away gets no token, also from a replica that did not notice the change."""
    assert set(story.banned_later) == {(403, "banned")}
