"""Several issuers in one file: one is the default, no two are confused, and all faults come at once."""

from __future__ import annotations

import pytest

from service.config.settings import Settings, SettingsError
from service.identity.issuers import read_table
from service.identity.setting import Faults
from tests.config.test_settings import environment


def row(name: str, /, **members: str) -> str:
    """One table of the file, with members as TOML texts."""
    given = {"name": f'"{name}"', "issuer": f'"https://{name}.example.com"', "audience": '"video"'}
    given |= {"jwks_url": f'"https://{name}.example.com/keys"', **members}
    return "[[issuer]]\n" + "".join(f"{member} = {value}\n" for member, value in given.items() if value)


def table_faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(Faults) as caught:
        read_table(text)
    return [(fault.variable, fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("rows", "default"),
    [
        ([row("a"), row("b")], "a"),
        ([row("a"), row("b", default="true")], "b"),
        ([row("a", default="true"), row("b", default="false")], "a"),
        ([row("a", default="false")], "a"),
    ],
)
def test_one_issuer_of_a_table_is_the_default(rows: list[str], default: str) -> None:
    """The first, unless another says so."""
    assert [issuer.name for issuer in read_table("".join(rows)) if issuer.default] == [default]


BROKEN_TABLES: dict[str, tuple[str, list[str]]] = {
    "no TOML": ("[[issuer", [""]),
    "a number too long": ("x = " + "9" * 5000, [""]),
    "deep nesting": ("x = " + "[" * 5000, [""]),
    "nothing": ("", [""]),
    "a single table": ("[issuer]\nname = 'a'", [""]),
    "another word": ("[[issuers]]\nname = 'a'", ["issuers", ""]),
    "something beside": ("trust = 'admin'\n" + row("a"), ["trust"]),
    "two defaults": (row("a", default="true") + row("b", default="true"), ["default"]),
    "one name twice": (row("a") + row("a", issuer='"https://b.example.com"'), ["name"]),
    "one issuer twice": (row("a") + row("b", issuer='"https://a.example.com"'), ["issuer"]),
    "no names": (row("a", name="") + row("b", name=""), ["name"]),
    "a fault in each": (
        row("a", trust='"x"') + row("b", audience="", leeway_secs="'x'"),
        ["issuer 1, trust", "issuer 2, audience", "issuer 2, leeway_secs"],
    ),
    "faults in a row and between rows": (row("a", trust='"x"') + row("a"), ["issuer 1, trust", "name", "issuer"]),
}


@pytest.mark.parametrize(("text", "members"), BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_all_faults_of_a_table_come_at_once(text: str, members: list[str]) -> None:
    """By the number of the issuer and the name of the member."""
    assert [member for member, _ in table_faults(text)] == members


def test_a_table_is_the_whole_table() -> None:
    """Variables beside it would be ignored in silence."""
    with pytest.raises(SettingsError, match="AUTH_ISSUERS: is the whole table: remove AUTH_ISSUER, ") as caught:
        Settings.from_env(environment(AUTH_ISSUERS=row("a")))
    assert len(caught.value.faults) == 1


def test_faults_of_a_table_are_faults_of_its_variable() -> None:
    """Each with the place where it is."""
    env = environment(AUTH_ISSUER=None, AUTH_AUDIENCE=None, AUTH_HS256_SECRET=None)
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env | {"AUTH_ISSUERS": row("a", trust='"x"') + row("b", audience="")})

    assert [(fault.variable, fault.message) for fault in caught.value.faults] == [
        ("AUTH_ISSUERS", "issuer 1, trust: must be of admin, rooms, claims"),
        ("AUTH_ISSUERS", "issuer 2, audience: is required"),
    ]


def test_a_table_from_the_environment_is_read() -> None:
    """The first of its issuers is the default."""
    env = environment(AUTH_ISSUER=None, AUTH_AUDIENCE=None, AUTH_HS256_SECRET=None, AUTH_ISSUERS=row("a") + row("b"))

    assert [(issuer.name, issuer.default) for issuer in Settings.from_env(env).issuers] == [("a", True), ("b", False)]


@pytest.mark.parametrize("line", ["hs256_secret = {}", "hs256_secret = '{}", "hs256_secret = ['{}']", "x = '\\{}'"])
def test_no_secret_of_a_broken_table_is_shown(line: str) -> None:
    """What a parser says of a text is not a quotation of it."""
    canary = "Canary7Zq4Xw9Lt2Vb8Nm5Rk3"

    assert canary not in str(table_faults("[[issuer]]\n" + line.replace("{}", canary)))
