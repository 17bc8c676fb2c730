import pytest

pytestmark = [pytest.mark.cooperative, pytest.mark.processes, pytest.mark.rows(12)]
