"""The acceptance tests of templates once more, with a Cluster where one server was.

A command with keys of more than one slot is refused by a real cluster, and each of these would fail.
"""

import pytest

from tests.acceptance.test_templates import *  # noqa: F403 - the same tests, on other servers
from tests.acceptance.test_templates import _clear  # noqa: F401 - a fixture that a star leaves out

pytestmark = pytest.mark.long
