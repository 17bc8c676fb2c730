"""The document and the service agree, whatever is asked.

These tests run beside the others (``tests/beside.py``): to read them takes seconds, which else each worker would pay.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from tests.document import OPENAPI, contract
from tests.processes import Caller, ServiceProcess, fresh

pytestmark = pytest.mark.cooperative

# ``make fuzz`` sets this to cases over all calls; without it the run is short and always the same.
CASES = int(os.environ.get("FUZZ_CASES", "0"))
SHORT_RUN = 7

CONFIG = SchemathesisConfig.from_dict(
    {
        # Its cases are made while tests are collected, which takes four seconds.
        "phases": {"coverage": {"enabled": bool(CASES)}},
        "checks": {
            # Two members that contradict each other (an end before its beginning) fit the schema and are still 422.
            # No generated text is the version of a record.
            "positive_data_acceptance": {"expected-statuses": ["2xx", 404, 412, 422, 429]},
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429]
            },
        },
        "operations": [
            {
                # No key is configured here; what good and bad signatures get, the tests of webhooks show.
                "include-operation-id": "receiveTelnyxEvent",
                "checks": {
                    "not_a_server_error": {"enabled": False},
                    "positive_data_acceptance": {"expected-statuses": [503]},
                    "negative_data_rejection": {"enabled": False},
                },
            },
            {
                # No generated text is a logout token.
                "include-operation-id": "backchannelLogout",
                "checks": {"positive_data_acceptance": {"expected-statuses": [400]}},
            },
            {
                # No generated text is a handle of the fuzzer's own, and one with a NUL is no text.
                "include-operation-id": "v2RefreshClientToken",
                "checks": {"positive_data_acceptance": {"expected-statuses": [403, 422]}},
            },
        ],
    }
)


schema = schemathesis.openapi.from_path(OPENAPI, config=CONFIG)


@pytest.fixture(scope="module")
def administrator(service: ServiceProcess) -> Caller:
    """Somebody who may make every call, and of whom nothing generated speaks."""
    return Caller(service.url, fresh("fuzzer"), scope="rooms:admin")


@schema.parametrize()
@settings(
    max_examples=max(SHORT_RUN, CASES // len(contract().operations)),
    derandomize=not CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_a_documented_one(case: schemathesis.Case[Any], administrator: Caller) -> None:
    """Good and bad requests alike get a documented status, headers and content; 500 never appears."""
    case.call_and_validate(base_url=administrator.url, headers={"Authorization": f"Bearer {administrator.bearer}"})
