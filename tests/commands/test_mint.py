"""``mint``: a token for development."""

from __future__ import annotations

import jwt
import pytest

from tests.commands.cli import run
from tests.processes import AUDIENCE, HMAC_SECRET, Caller, ServiceProcess, environment, fresh

ENV = environment(None, "redis://127.0.0.1:1")


def claims(*arguments: str) -> dict[str, object]:
    done = run(ENV, "mint", *arguments)
    assert done.returncode == 0, done.stderr
    return jwt.decode(done.stdout.strip(), HMAC_SECRET, algorithms=["HS256"], audience=AUDIENCE)


def test_everything_asked_for_is_in_the_token() -> None:
    """Name, scopes, groups, rooms and life are the ones on the command line."""
    found = claims(
        *("bob", "--name", "Bob", "--scope", "a", "--scope", "b", "--group", "eng"),
        *("--room", "standup=moderator", "--room", "town=participant", "--ttl", "90"),
    )

    assert (found["sub"], found["name"], found["scope"], found["groups"]) == ("bob", "Bob", "a b", ["eng"])
    assert found["rooms"] == {"standup": "moderator", "town": "participant"}
    assert int(str(found["exp"])) - int(str(found["iat"])) == 90


def test_what_is_not_asked_for_is_not_there() -> None:
    """A plain token has the registered claims only."""
    assert claims("bob").keys() == {"iss", "aud", "sub", "iat", "exp"}


def test_the_service_takes_the_token(service: ServiceProcess) -> None:
    """It opens a room named in its ``rooms`` claim to nobody whose room is not there: 404, not 401."""
    caller = Caller(service.url, "x")
    caller.session.headers["Authorization"] = f"Bearer {run(ENV, 'mint', 'zoe').stdout.strip()}"

    assert caller.token(fresh()).json()["code"] == "room_not_found"


@pytest.mark.parametrize("room", ["standup", "standup=owner", "=moderator=", "standup="])
def test_a_room_without_a_role_is_refused(room: str) -> None:
    """The text says what the option takes; nothing is printed to stdout."""
    done = run(ENV, "mint", "bob", "--room", room)

    assert (done.returncode, done.stdout) == (2, "")
    assert "alias=participant" in done.stderr


def test_without_a_shared_secret_there_is_nothing_to_sign_with() -> None:
    """An issuer whose keys are elsewhere cannot be imitated."""
    env = {name: text for name, text in ENV.items() if name != "AUTH_HS256_SECRET"}
    done = run({**env, "AUTH_JWKS_URL": "https://issuer.test/jwks"}, "mint", "bob")

    assert done.returncode == 2
    assert "AUTH_HS256_SECRET" in done.stderr
