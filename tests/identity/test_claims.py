"""Nested claims, and what bearers must say besides: the words by which providers tell their tokens apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken
from service.identity.claims import check_required, find
from service.identity.issuers import read_required_claims
from service.identity.refusal import RefusedToken
from service.identity.setting import Faults
from tests.identity.forge import UNHURRIED, ask, claims, issuer, token, verifier

NESTED = {
    "realm_access": {"roles": ["host"]},
    "a/b": {"c~d": "x"},
    "list": [{"a": "x"}],
    "": {"": "empty"},
    "/x": "odd",
}
PLACES: dict[str, tuple[str, object]] = {
    "a name": ("list", [{"a": "x"}]),
    "a name with slashes, as Auth0's": ("https://example.com/roles", ["r"]),
    "nested": ("/realm_access/roles", ["host"]),
    "at the top, by a pointer": ("/list", [{"a": "x"}]),
    "names with slash and tilde": ("/a~1b/c~0d", "x"),
    "empty names": ("//", "empty"),
    "a name that starts with a slash": ("/~1x", "odd"),
    "nothing of that name": ("/realm_access/groups", None),
    "nothing at the top": ("/other/roles", None),
    "within a text": ("/a~1b/c~0d/e", None),
    "within a list": ("/list/0/a", None),
}


@pytest.mark.parametrize(("where", "value"), PLACES.values(), ids=PLACES)
def test_a_claim_is_found_by_name_or_pointer(where: str, value: object) -> None:
    """RFC 6901, through objects alone; what is not there is nothing."""
    assert find(NESTED | {"https://example.com/roles": ["r"]}, where) == value


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
    max_leaves=8,
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from(["a", "b", ""]), _json), st.from_regex(r"(/[ab]?)*", fullmatch=True))
def test_any_claims_can_be_searched(payload: dict[str, Any], where: str) -> None:
    """Whatever an issuer writes is found or not, and required values are there or not."""
    find(payload, where)
    required = f"{where or 'a'}=x"
    unmet = required
    try:
        check_required(payload, read_required_claims([required]))
    except RefusedToken as refusal:
        unmet = refusal.expected
    assert unmet == required


@pytest.mark.parametrize(
    ("member", "said", "wanted"),
    [
        ("groups_claim", {"realm_access": {"roles": ["host"]}}, ("alice", ("host",), False)),
        ("scope_claim", {"realm_access": {"roles": ["rooms:admin"]}}, ("alice", (), True)),
        ("name_claim", {"realm_access": {"roles": "Alice"}}, ("Alice", (), False)),
    ],
)
def test_names_groups_and_scopes_may_be_nested(member: str, said: dict[str, Any], wanted: tuple[object, ...]) -> None:
    """As Keycloak and Supabase have them."""
    config = issuer(trust="admin,claims", **{member: "/realm_access/roles"})
    person = ask(verifier(config), token(claims(name="alice", **said)))

    assert (person.name or "alice", person.groups, person.admin) == wanted


REQUIRED = "token_use=access,scp=Rooms.Join,/firebase/sign_in_provider=password,/firebase/sign_in_provider=google.com"
SAID = {"token_use": "access", "scp": "openid Rooms.Join", "firebase": {"sign_in_provider": "google.com"}}
WITHIN: dict[str, dict[str, Any]] = {
    "the text": {},
    "the other value": {"firebase": {"sign_in_provider": "password"}},
    "a list": {"scp": ["x", "Rooms.Join"]},
    "that alone": {"scp": "Rooms.Join"},
}
WITHOUT: dict[str, dict[str, Any]] = {
    "not there": {"token_use": None},
    "another": {"token_use": "id"},
    "in another case": {"token_use": "Access"},
    "with more behind": {"token_use": "access2"},
    "a part of a word": {"scp": "Rooms.JoinAll"},
    "empty": {"scp": ""},
    "a number": {"token_use": 1},
    "true": {"token_use": True},
    "an object": {"token_use": {"access": True}},
    "nested in a list": {"scp": [["Rooms.Join"]]},
    "words within an item": {"scp": ["openid Rooms.Join"]},
    "neither value": {"firebase": {"sign_in_provider": "anonymous"}},
    "no object around it": {"firebase": "password"},
    "at the top": {"firebase": None, "sign_in_provider": "password"},
}
GATE = verifier(issuer(required_claims=REQUIRED))


@pytest.mark.parametrize("changes", WITHIN.values(), ids=WITHIN)
def test_a_bearer_that_says_what_is_required_is_good(changes: dict[str, Any]) -> None:
    """As its text, as a word of it, or in a list."""
    assert ask(GATE, token(claims(**SAID | changes))).user == "alice"


@pytest.mark.parametrize("changes", WITHOUT.values(), ids=WITHOUT)
def test_a_bearer_that_does_not_say_it_is_refused(changes: dict[str, Any]) -> None:
    """Compared exactly, and never by a part."""
    with pytest.raises(InvalidToken):
        ask(GATE, token(claims(**SAID | changes)))


@pytest.mark.parametrize(("said", "good"), [(False, True), (True, False), ("false", True), (None, False), (0, False)])
def test_a_flag_may_be_required(said: object, good: bool) -> None:  # noqa: FBT001 - a column of the table
    """``true`` and ``false`` as JSON writes them."""
    gate = verifier(issuer(required_claims="is_anonymous=false"))
    try:
        ask(gate, token(claims(is_anonymous=said)))
    except InvalidToken:
        assert not good
    else:
        assert good


def test_a_value_may_hold_commas_and_signs() -> None:
    """In a list of the table; only the first ``=`` counts."""
    gate = verifier(issuer(required_claims=["org=a,b=c"]))

    assert ask(gate, token(claims(org="a,b=c"))).user == "alice"


@pytest.mark.parametrize(
    "written", ["token_use", "=access", "token_use=", "a=b,c", ",", "=", 5, {"token_use": "access"}]
)
def test_a_requirement_that_cannot_be_read_refuses_the_start(written: object) -> None:
    """It would otherwise require nothing."""
    with pytest.raises(Faults, match="required_claims"):
        issuer(required_claims=written)


@pytest.mark.parametrize("member", ["user_claim", "audience_claim"])
def test_users_and_audiences_are_not_nested(member: str) -> None:
    """They are looked for in logout tokens too, and no provider nests them."""
    with pytest.raises(Faults, match=member):
        issuer(**{member: "/a/b"})
