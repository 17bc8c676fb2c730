"""The document and the service agree, whatever is asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig
from werkzeug import serving

from tests.http.doubles import OPENAPI, make_face

# ``make fuzz`` sets this; without it the run is short and always the same.
CASES = int(os.environ.get("FUZZ_CASES", "0"))

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # Two members that contradict each other (an end before its beginning) fit the schema and are still 422.
            "positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 422, 429]},
        }
    }
)


schema = schemathesis.openapi.from_path(OPENAPI, config=CONFIG)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the service as its document describes it listens."""
    app = make_face(tmp_path_factory.mktemp("face") / "draining").app
    with serving.make_server("127.0.0.1", 0, app, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@schema.parametrize()
@settings(max_examples=CASES or 15, derandomize=not CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: schemathesis.Case, base_url: str) -> None:
    """Good and bad requests alike get a documented status, headers and content; 500 never appears."""
    case.call_and_validate(base_url=base_url, headers={"Authorization": "Bearer ada"})


def test_the_document_is_openapi_31() -> None:
    """It satisfies the specification's own schema."""
    OpenAPIV31SpecValidator(yaml.safe_load(OPENAPI.read_text("utf-8"))).validate()
