"""What an issuer may say about its users: nothing but who they are, unless the table grants more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken
from service.identity.verifier import Principal, Verifier
from service.names import is_visible
from tests.identity.forge import ISSUER, UNHURRIED, ask, claims, issuer, token, verifier

GENEROUS = {"scope": "openid rooms:admin", "groups": ["eng"], "rooms": {"standup": "moderator"}, "department": "x"}
PARTNER = "https://partner.example.com"


def caller(said: dict[str, Any], **members: Any) -> Principal:
    """Who comes out of these claims at an issuer with these members."""
    return ask(verifier(issuer(**members)), token(claims(**said)))


def two(**partner: Any) -> Verifier:
    """Our own issuer and one of a partner, with one secret, so that only the rules keep them apart."""
    return verifier(issuer(), issuer(name="partner", issuer=PARTNER, default=False, **partner))


def granted(person: Principal) -> dict[str, bool]:
    return {"admin": person.admin, "rooms": bool(person.rooms), "claims": bool(person.claims) and bool(person.groups)}


@pytest.mark.parametrize("trust", [[], ["admin"], ["rooms"], ["claims"], ["admin", "rooms", "claims"]])
def test_an_issuer_grants_what_it_is_trusted_with(trust: list[str]) -> None:
    """Each of the three alone, none, and all: the others are simply not there."""
    person = caller(GENEROUS, trust=trust)

    assert granted(person) == {name: name in trust for name in ("admin", "rooms", "claims")}


def test_trusted_claims_are_handed_on_as_they_are() -> None:
    """For the rules of rooms to look at."""
    person = caller(GENEROUS, trust="claims,rooms")

    assert person.claims == claims(**GENEROUS)
    assert (person.groups, person.rooms) == (("eng",), {"standup": "moderator"})


def test_trust_is_each_issuers_own() -> None:
    """A partner is not trusted because the default issuer is, nor because it says so."""
    gate = verifier(issuer(trust="admin,rooms,claims"), issuer(name="partner", issuer=PARTNER, default=False))
    said = {**GENEROUS, "trust": "admin", "default": True, "iss": PARTNER}

    assert granted(ask(gate, token(claims(**said)))) == {"admin": False, "rooms": False, "claims": False}


@pytest.mark.parametrize(
    ("scope", "admin"),
    [
        ("rooms:admin", True),
        ("openid rooms:admin email", True),
        (["openid", "rooms:admin"], True),
        ("rooms:administrator", False),
        ("my-rooms:admin", False),
        ("rooms:admin,openid", False),
        ("ROOMS:ADMIN", False),
        ("rooms:admin\n", False),
        ("", False),
        (["rooms:admin openid"], False),
        ([["rooms:admin"]], False),
        ({"rooms:admin": True}, False),
        (True, False),
    ],
)
def test_the_admin_scope_is_one_whole_word(scope: object, admin: bool) -> None:  # noqa: FBT001 - a column of the table
    """Found by equality among the words of a text or the items of a list, never as a part."""
    assert caller({"scope": scope}, trust="admin").admin is admin


@pytest.mark.parametrize("groups", ["eng", {"eng": True}, 5, True])
def test_groups_are_a_list(groups: object) -> None:
    """A text is not split and an object is not read: there is no group in it."""
    assert caller({"groups": groups}, trust="claims").groups == ()


def test_groups_that_are_no_texts_are_left_out() -> None:
    """The others stay, in their order."""
    assert caller({"groups": ["b", 1, None, ["c"], "a"]}, trust="claims").groups == ("b", "a")


@pytest.mark.parametrize("rooms", ["standup", ["standup"], 5, True])
def test_the_rooms_claim_is_an_object(rooms: object) -> None:
    """Anything else names no room."""
    assert caller({"rooms": rooms}, trust="rooms").rooms == {}


def test_rooms_without_a_role_in_words_are_left_out() -> None:
    """The others stay."""
    said = {"rooms": {"a": "moderator", "b": True, "c": None, "d": ["moderator"]}}

    assert caller(said, trust="rooms").rooms == {"a": "moderator"}


def test_users_of_other_issuers_carry_its_name() -> None:
    """The same subject of two issuers is two users."""
    gate = two()

    assert ask(gate, token(claims(sub="alice"))).user == "alice"
    assert ask(gate, token(claims(sub="alice", iss=PARTNER))).user == "partner:alice"


@pytest.mark.parametrize("subject", ["partner:alice", "partner:", "default:alice", "partner:partner:alice"])
def test_a_default_user_that_reads_as_anothers_is_refused(subject: str) -> None:
    """Otherwise two people could share one id."""
    with pytest.raises(InvalidToken):
        ask(two(), token(claims(sub=subject)))


@pytest.mark.parametrize("subject", ["partner", "Partner:alice", "partners:alice", "a:partner:b", "auth0|partner:x"])
def test_a_default_user_that_only_resembles_anothers_is_good(subject: str) -> None:
    """Only a whole name with its colon in front is another's."""
    assert ask(two(), token(claims(sub=subject))).user == subject


def test_a_partners_user_may_be_called_anything() -> None:
    """Its own name in front keeps it apart from everybody."""
    assert ask(two(), token(claims(sub="default:alice", iss=PARTNER))).user == "partner:default:alice"


_subjects = st.from_regex(r"(default|partner|other)?:?[a-z:]{1,6}", fullmatch=True)
_TWO = two()


@UNHURRIED
@given(_subjects, _subjects)
def test_no_two_people_share_an_id(ours: str, theirs: str) -> None:
    """Whatever the two issuers call their users."""
    try:
        user = ask(_TWO, token(claims(sub=ours))).user
    except InvalidToken:
        assert ours.startswith(("default:", "partner:"))
        return
    assert user != ask(_TWO, token(claims(sub=theirs, iss=PARTNER))).user


@pytest.mark.parametrize("verified", [None, False, 1, "false", "True", "true ", "", [True], ["true"]])
def test_an_unverified_address_is_nobody(verified: object) -> None:
    """Whoever may write his own address would be anybody."""
    with pytest.raises(InvalidToken):
        caller({"email": "alice@example.com", "email_verified": verified}, user_claim="email")


@pytest.mark.parametrize("verified", [True, "true"])
def test_a_verified_address_is_a_user(verified: object) -> None:
    """The claim says ``true``, which some providers write as a text."""
    person = caller({"email": "alice@example.com", "email_verified": verified}, user_claim="email")

    assert person.user == "alice@example.com"


def test_the_user_may_be_in_another_claim() -> None:
    """Then ``sub`` may be missing, and that claim may not."""
    assert caller({"sub": None, "oid": "u-7"}, user_claim="oid").user == "u-7"
    with pytest.raises(InvalidToken):
        caller({"sub": "alice"}, user_claim="oid")


def test_the_audience_may_be_in_another_claim() -> None:
    """Access tokens of Cognito have ``client_id`` and no ``aud``."""
    person = caller({"aud": None, "client_id": "video"}, audience_claim="client_id")

    assert person.user == "alice"


def test_the_usual_audience_does_not_count_where_another_claim_does() -> None:
    """Two places to look would be two chances."""
    with pytest.raises(InvalidToken):
        caller({"aud": "video", "client_id": "billing"}, audience_claim="client_id")
    with pytest.raises(InvalidToken):
        caller({"aud": "video"}, audience_claim="client_id")


def test_names_scopes_and_groups_may_be_in_other_claims() -> None:
    """As different providers have it."""
    said = {"nickname": "Al", "scp": "rooms:admin", "roles": ["eng"], "name": "x", "scope": "", "groups": ["y"]}
    person = caller(said, name_claim="nickname", scope_claim="scp", groups_claim="roles", trust=["admin", "claims"])

    assert (person.name, person.admin, person.groups) == ("Al", True, ("eng",))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Alice", "Alice"),
        ("  Alice  ", "Alice"),
        ("Zoë 🎉", "Zoë 🎉"),
        ("Al\x00i\r\nce\x1b", "Alice"),
        ("\u202eecilA", "ecilA"),
        ("A\u200bli\ufeffce", "Alice"),
        ("Al\ud800ice", "Alice"),
        ("x" * 300, "x" * 200),
        ("x" * 199 + " y", "x" * 199),
        ("<b>Alice</b>", "<b>Alice</b>"),
        ("", None),
        (" \n\t ", None),
        ("\u202e", None),
        (7, None),
        (None, None),
        (["Alice"], None),
        ({"first": "Alice"}, None),
    ],
)
def test_names_are_cleaned(said: object, shown: str | None) -> None:
    """What cannot be printed goes, 200 characters stay, and nothing left is no name."""
    assert caller({"name": said}).name == shown


@UNHURRIED
@given(st.text(max_size=300))
def test_a_name_can_always_be_shown(said: str) -> None:
    """Visible, encodable, short and not blank, or ``None``."""
    name = caller({"name": said}).name

    assert name is None or (is_visible(name) and name.encode() and name == name.strip() and len(name) <= 200)


@pytest.mark.parametrize(("sid", "kept"), [("s-1", "s-1"), ("", None), (5, None), (None, None), (["s"], None)])
def test_a_session_is_a_text(sid: object, kept: str | None) -> None:
    """Anything else is no session that could be revoked by itself."""
    assert caller({"sid": sid}).session_id == kept


def test_an_issuer_that_is_not_in_the_table_is_nobody() -> None:
    """However well it signs."""
    with pytest.raises(InvalidToken):
        ask(two(), token(claims(iss="https://other.example.com")))


def test_one_issuer_may_not_use_anothers_audience() -> None:
    """Each row has its own."""
    gate = two(audience="partner-video")

    assert ask(gate, token(claims(iss=PARTNER, aud="partner-video"))).user == "partner:alice"
    for iss, aud in ((PARTNER, "video"), (ISSUER, "partner-video")):
        with pytest.raises(InvalidToken):
            ask(gate, token(claims(iss=iss, aud=aud)))
