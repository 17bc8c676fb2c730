"""The acceptance tests of joining, refusals, templates and meetings, with a Cluster of six where one server was.

A command with keys of several slots would be refused by a real cluster, and each of these would fail.
"""

from tests.acceptance.test_joining import *  # noqa: F403 - the same tests, on other servers
from tests.acceptance.test_meeting import *  # noqa: F403 - as above
from tests.acceptance.test_refusals import *  # noqa: F403 - as above
from tests.acceptance.test_templates import *  # noqa: F403 - as above
