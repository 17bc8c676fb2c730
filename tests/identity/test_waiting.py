"""Who waits for keys: few of those whose key is unknown, and nobody else, whatever the provider does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from service.errors import KeysUnavailable
from service.identity import key_sources
from tests.identity.forge import ask
from tests.identity.idp import IdentityProvider, Trust, hang
from tests.processes import until

CALLERS = 16


@pytest.fixture
def trust(idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """An issuer whose provider hangs after the first fetch, for longer than the tests take."""
    monkeypatch.setattr(key_sources, "FETCH_SECS", 50.0)
    made = Trust(idp).loaded()
    idp.answer(hang)
    made.pass_time(31)
    yield made
    idp.released.set()
    made.stop()


def test_few_wait_for_a_fetch(idp: IdentityProvider, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen with an unknown key four wait; the others are told at once to come again."""
    monkeypatch.setattr(key_sources, "WAIT_SECS", 50.0)
    bearer, refused = trust.bearer("unknown"), []

    def call() -> None:
        _refused(trust, bearer)
        refused.append(bearer)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    until(lambda: len(refused) == 12, what="twelve quick answers")
    assert sum(caller.is_alive() for caller in callers) == 4

    idp.released.set()
    for caller in callers:
        caller.join(10)
    assert len(refused) == CALLERS


def test_holders_of_known_keys_never_wait(idp: IdentityProvider, trust: Trust) -> None:
    """Sixteen threads press on with unknown keys while the provider hangs: 99 of 100 good callers are through in far
    less time than anybody would wait for a fetch, and the provider is asked once.
    """
    good, over = trust.bearer(), threading.Event()
    flood = [trust.bearer("unknown", kid=f"unknown-{number}") for number in range(CALLERS)]
    pressed = [0] * CALLERS

    def press(number: int) -> None:
        while not over.wait(0.01):
            _refused(trust, flood[number])
            pressed[number] += 1

    threads = [threading.Thread(target=press, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    until(lambda: sum(pressed) > CALLERS, what="a flood")
    taken = sorted(_seconds(trust, good) for _ in range(1000))
    pressing = sum(pressed)
    over.set()
    for thread in threads:
        thread.join(10)

    assert taken[990] < key_sources.WAIT_SECS / 4
    assert pressing > CALLERS
    assert idp.fetches() == 2


def _seconds(trust: Trust, bearer: str) -> float:
    began = time.monotonic()
    assert ask(trust.gate, bearer).user == "alice"
    return time.monotonic() - began


def test_a_known_key_is_good_while_others_wait(
    idp: IdentityProvider, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller with an unknown key still waits when the other has long been answered."""
    monkeypatch.setattr(key_sources, "WAIT_SECS", 50.0)
    waiting = threading.Thread(target=_refused, args=(trust, trust.bearer("unknown")))
    waiting.start()
    until(lambda: idp.fetches() == 2, what="the fetch that hangs")

    assert trust.ask().user == "alice"
    assert waiting.is_alive()
    idp.released.set()
    waiting.join(10)


def _refused(trust: Trust, bearer: str) -> None:
    with pytest.raises(KeysUnavailable):
        ask(trust.gate, bearer)
