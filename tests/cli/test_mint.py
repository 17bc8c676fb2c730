"""``mint``: a token for development."""

from __future__ import annotations

from collections.abc import Callable

import jwt
import pytest

from service.__main__ import parser
from service.cli.failed import Failed
from tests.cli.cli import run_here
from tests.processes import AUDIENCE, HMAC_SECRET, Caller, ServiceProcess, environment, fresh

ENV = environment(None, "redis://127.0.0.1:1")


Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What ``mint`` says of arguments with which it mints nothing."""
    for name, text in ENV.items():
        monkeypatch.setenv(name, text)

    def ask(*arguments: str) -> str:
        asked = parser().parse_args(["mint", *arguments])
        with pytest.raises(Failed) as failed:
            asked.run(asked)
        assert (failed.value.code, capsys.readouterr().out) == (2, "")
        return str(failed.value)

    return ask


def claims(*arguments: str) -> dict[str, object]:
    done = run_here(ENV, "mint", *arguments)
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
    caller.session.headers["Authorization"] = f"Bearer {run_here(ENV, 'mint', 'zoe').stdout.strip()}"

    assert caller.token(fresh()).json()["code"] == "room_not_found"


@pytest.mark.parametrize("room", ["standup", "standup=owner", "=moderator=", "standup=", "Stand up=moderator"])
def test_a_room_without_a_role_is_refused(room: str, refused: Refused) -> None:
    """Nor one that cannot be an alias. The text says what the option takes; nothing is printed to stdout."""
    assert "alias=participant" in refused("bob", "--room", room)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bob", "--ttl", "0"], "malformed_claim; expected iat before exp"),
        (["bob", "--ttl", "99999999"], "lifetime_too_long; expected at most 86400 s"),
        (["b" * 256], "invalid_user_id; expected sub: 1 to 255 bytes"),
        ([""], "invalid_user_id"),
        (["bob", "--group", "g" * 8000], "too_long; expected at most 7168 bytes"),
    ],
)
def test_what_the_service_would_refuse_is_refused(arguments: list[str], reason: str, refused: Refused) -> None:
    """With the reason that its log would give."""
    told = refused(*arguments)
    assert told.startswith("The service would not take this token: issuer ")
    assert f": refused, {reason}" in told


def test_without_a_shared_secret_there_is_nothing_to_sign_with() -> None:
    """An issuer whose keys are elsewhere cannot be imitated."""
    env = {name: text for name, text in ENV.items() if name != "AUTH_HS256_SECRET"}
    done = run_here({**env, "AUTH_JWKS_URL": "https://issuer.test/jwks"}, "mint", "bob")

    assert done.returncode == 2
    assert "AUTH_HS256_SECRET" in done.stderr
