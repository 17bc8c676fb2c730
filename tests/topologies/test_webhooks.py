"""The acceptance tests of webhooks once more, with a Cluster where one server was.

A command with keys of more than one slot is refused by a real cluster, and each of these would fail.
"""

from tests.acceptance.test_webhooks import *  # noqa: F403 - the same tests, on other servers
