import pytest

pytestmark = [pytest.mark.processes, pytest.mark.rows(4)]
