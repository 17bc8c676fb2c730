"""The acceptance tests of joining, meetings and templates once more, with a Cluster where one server was.

A command with keys of more than one slot is refused by a real cluster, and each of these would fail.
"""

import pytest

from tests.acceptance.test_joining import *  # noqa: F403 - the same tests, on other servers
from tests.acceptance.test_meeting import *  # noqa: F403 - as above
from tests.acceptance.test_meeting import _clear  # noqa: F401 - a fixture that a star leaves out
from tests.acceptance.test_templates import *  # noqa: F403 - as above

pytestmark = pytest.mark.long
