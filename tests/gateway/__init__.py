import pytest

pytestmark = pytest.mark.rows(4)
