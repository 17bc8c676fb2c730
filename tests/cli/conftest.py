from __future__ import annotations

import pytest

from service.web.openapi import OpenApiValidator
from tests.document import contract


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process would read the document anew for each file, which is most of what it does."""
    monkeypatch.setattr(OpenApiValidator, "read", lambda _: contract())
