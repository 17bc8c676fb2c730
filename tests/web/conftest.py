from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.doubles import Face, make_face


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Face:
    """One application for all: to build one takes longer than most tests of it."""
    return make_face(tmp_path_factory.mktemp("face") / "draining")


@pytest.fixture
def face(built: Face) -> Face:
    """The HTTP face of the service with doubles behind it, which remember nothing of other tests."""
    return built.renewed()


@pytest.fixture
def counting(tmp_path: Path) -> Face:
    """A face of its own, whose metrics begin at nought."""
    return make_face(tmp_path / "draining")


@pytest.fixture
def client(face: Face) -> FlaskClient:
    """Callers of that face; credentials are the test's own business."""
    return face.app.test_client()


@pytest.fixture
def alice() -> dict[str, str]:
    """The headers of a user."""
    return {"Authorization": "Bearer alice"}


@pytest.fixture
def ada() -> dict[str, str]:
    """The headers of an administrator."""
    return {"Authorization": "Bearer ada"}
