import pytest

pytestmark = [pytest.mark.processes, pytest.mark.early]
