"""Bearers that were verified before: good as long as they would be verified again, and not a moment longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from service.clock import Clock
from service.errors import InvalidToken, KeysUnavailable
from service.identity import verifier as identity
from service.identity.key_sources import FixedKeys
from service.identity.keys import VerificationKey
from tests.identity.forge import (
    NOW,
    SECRET,
    MovableClock,
    ask,
    claims,
    issuer,
    jwk,
    private_key,
    token,
    verifier,
    verifier_of,
)
from tests.identity.idp import IdentityProvider, Trust, hang_up


class CountingKeys(FixedKeys):
    """Tells how often a signature was to be checked."""

    def __init__(self) -> None:
        super().__init__([VerificationKey(None, "HS256", SECRET.encode())])
        self.asked = 0

    def candidates(self, kid: str | None, algorithm: str, issued_at: float) -> Iterator[VerificationKey]:
        self.asked += 1
        return super().candidates(kid, algorithm, issued_at)


def counted(clock: Clock | None = None) -> tuple[identity.Verifier, CountingKeys]:
    config, source = issuer(name="default"), CountingKeys()
    return verifier_of([config], {"default": source}, clock or MovableClock()), source


def test_a_bearer_is_verified_once() -> None:
    """Whoever comes again with it is who was found the first time."""
    gate, source = counted()
    bearer = token()

    assert [ask(gate, bearer) for _ in range(3)] == [ask(gate, bearer)] * 3
    assert source.asked == 1


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_bearer_that_is_almost_the_same_is_another_one(part: int) -> None:
    """However small the difference, it is verified for itself."""
    gate, _ = counted()
    bearer = token()
    ask(gate, bearer)
    parts = bearer.split(".")
    parts[part] = parts[part][:-6] + ("A" if parts[part][-6] != "A" else "B") + parts[part][-5:]

    with pytest.raises(InvalidToken):
        ask(gate, ".".join(parts))


def test_a_bearer_that_is_refused_is_not_remembered() -> None:
    """A flood of them fills nothing."""
    gate, source = counted()
    for _ in range(2):
        with pytest.raises(InvalidToken):
            ask(gate, token(key="another secret of more than thirty-two bytes"))

    assert source.asked == 2


def test_a_remembered_bearer_runs_out() -> None:
    """At its ``exp`` and the leeway."""
    clock = MovableClock()
    gate = verifier(clock=clock)
    bearer = token(claims(exp=int(NOW) + 600))
    ask(gate, bearer)
    clock.now += 659
    ask(gate, bearer)
    clock.now += 1

    with pytest.raises(InvalidToken):
        ask(gate, bearer)


@pytest.mark.parametrize("begins", ["iat", "nbf"])
def test_a_remembered_bearer_is_not_good_before_it_begins(begins: str) -> None:
    """A clock that is set back changes nothing about that."""
    clock = MovableClock()
    gate = verifier(clock=clock)
    bearer = token(claims(**{"iat": int(NOW) - 300, begins: int(NOW)}))
    ask(gate, bearer)
    clock.now -= 61

    with pytest.raises(InvalidToken):
        ask(gate, bearer)


def test_a_withdrawn_key_takes_its_bearers_with_it(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """Those that were verified before too."""
    trust = trusting().loaded()
    bearer = trust.bearer(age=10)
    ask(trust.gate, bearer)
    idp.publish(jwk("EdDSA", "successor"))
    trust.pass_time(31)
    trust.ask("successor")

    with pytest.raises(InvalidToken):
        ask(trust.gate, bearer)


@pytest.mark.usefixtures("_on_demand")
def test_keys_that_nobody_vouches_for_any_more_vouch_for_nobody(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """After an hour without a set nobody can tell of a remembered bearer either."""
    trust = trusting(leeway_secs=60, max_lifetime_secs=86_400).loaded()
    now = int(trust.clock.wall())
    written = claims(iat=now, exp=now + 7200, iss=trust.config.issuer)
    bearer = token(written, algorithm="EdDSA", key=private_key("EdDSA"), kid="issuer")
    ask(trust.gate, bearer)
    idp.answer(hang_up)
    trust.pass_time(3599)
    ask(trust.gate, bearer)
    trust.pass_time(2)

    with pytest.raises(KeysUnavailable):
        ask(trust.gate, bearer)


def test_a_bearer_of_much_text_is_verified_each_time() -> None:
    """What it claims would fill the memory."""
    gate, source = counted()
    bearer = token(claims(note="n" * identity.MAX_REMEMBERED_LENGTH))
    for _ in range(2):
        ask(gate, bearer)

    assert source.asked == 2
