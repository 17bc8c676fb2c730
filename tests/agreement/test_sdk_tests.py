"""Telnyx's own tests of its Python client, against the sandbox and against the gateway in front of it.

They are fetched from the package registry; where there is none, these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.agreement import sdk_tests_plugin as plugin
from tests.agreement.sdk_tests import NotHere, SdkTests, get
from tests.processes import API_KEY, Sandbox, ServiceProcess, Valkey, admin, environment, running

pytestmark = pytest.mark.long


ALL = 550
OWN_KEY = "My API Key"
# The switch that allows each refusal of their own sample data, and the words of the refusal.
SWITCHES = {
    "action_nobody": ("all", "participants is required"),
    "page_out_of_range": ("clamp", "Invalid pagination"),
    "refresh_unknown": ("accept", "Authorization failed"),
    "bulk_delete_unfiltered": ("delete", "At least one filter is required"),
    "composition_session": ("optional", "session_id is required"),
}


@pytest.fixture(scope="module")
def sdk_tests(tmp_path_factory: pytest.TempPathFactory) -> SdkTests:
    """As they come, with their own sample data."""
    try:
        return get(tmp_path_factory.mktemp("sdk"))
    except NotHere as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def valid(sdk_tests: SdkTests, tmp_path_factory: pytest.TempPathFactory) -> SdkTests:
    """With sample data that makes sense."""
    return sdk_tests.with_valid_data(tmp_path_factory.mktemp("valid") / "copy")


@pytest.fixture
def service(stand_in: Sandbox) -> Iterator[ServiceProcess]:
    """A service of its own: these tests empty the account that it stands before, again and again."""
    valkey = Valkey()
    yield from running(ServiceProcess(environment(stand_in, valkey.url)), valkey)


def refresh_token(url: str, key: str) -> str:
    """One for the room of the samples, which outlives all resets of the sandbox."""
    path = f"{url}/rooms/{plugin.ROOM}/actions/generate_join_client_token"
    answer = requests.post(path, json={}, headers={"Authorization": f"Bearer {key}"}, timeout=plugin.PATIENCE_SECS)
    return str(answer.json()["data"]["refresh_token"])


def test_all_pass_where_their_sample_data_is_valid(stand_in: Sandbox, valid: SdkTests) -> None:
    """All switches of the sandbox are as they come."""
    stand_in.control("POST", "objects/rooms", id=plugin.ROOM)
    token = refresh_token(stand_in.api_url, API_KEY)

    outcome = valid.run(stand_in.api_url, stand_in.base, API_KEY=API_KEY, REFRESH_TOKEN=token)

    assert outcome.failed == {}
    assert len(outcome.passed) == ALL


def test_all_pass_with_their_own_sample_data_where_switches_allow_it(stand_in: Sandbox, sdk_tests: SdkTests) -> None:
    """Not a line of theirs is changed."""
    switches = {name: value for name, (value, _) in SWITCHES.items()}

    outcome = sdk_tests.run(stand_in.api_url, stand_in.base, switches=switches, accepted_keys=[OWN_KEY])

    assert outcome.failed == {}
    assert len(outcome.passed) == ALL


def test_each_refusal_of_their_own_sample_data_has_a_switch(stand_in: Sandbox, sdk_tests: SdkTests) -> None:
    """Where the switches are as they come, what is refused is what the switches are for, and nothing else."""
    outcome = sdk_tests.run(stand_in.api_url, stand_in.base, accepted_keys=[OWN_KEY])

    said = {words: [why for why in outcome.failed.values() if words in why] for _, words in SWITCHES.values()}
    assert all(said.values()), said
    assert sum(map(len, said.values())) == len(outcome.failed)
    assert len(outcome.passed) + len(outcome.failed) == ALL


def test_all_pass_against_the_gateway(stand_in: Sandbox, service: ServiceProcess, valid: SdkTests) -> None:
    """By an administrator."""
    stand_in.control("POST", "reset")
    stand_in.control("POST", "objects/rooms", id=plugin.ROOM, unique_name=plugin.NAME)
    bearer, url = admin(service.url).bearer, f"{service.url}/v2"
    plugin.enter(service.url, bearer)
    token = refresh_token(url, bearer)

    outcome = valid.run(url, stand_in.base, API_KEY=bearer, REFRESH_TOKEN=token, GATEWAY=service.url)

    assert outcome.failed == {}
    assert len(outcome.passed) == ALL
