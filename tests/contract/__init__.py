import pytest

pytestmark = [pytest.mark.processes, pytest.mark.long, pytest.mark.clients]
