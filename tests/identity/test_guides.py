"""The identity provider guides, run: their configurations, with providers on this machine in the place of the hosts."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests

from service.clock import Clock
from service.config.settings import Settings
from service.errors import InvalidToken
from service.identity.issuers import read_issuer
from service.identity.refusal import Reason
from service.identity.setting import Faults
from tests.cli.cli import run
from tests.config.test_settings import environment
from tests.identity import guides
from tests.identity.certificates import company
from tests.identity.command import run_here
from tests.identity.forge import ask, b64, claims, jwk, pem, private_key, signature, token, verifier
from tests.identity.guides import Variant
from tests.identity.idp import IdentityProvider, body, document
from tests.identity.published import publish
from tests.identity.shapes import LOGOUTS, SHAPES
from tests.identity.shapes.shape import Shape, life_of
from tests.identity.tables import settings_alone, settings_with
from tests.processes import Sandbox, ServiceProcess, Valkey, fresh, running, until

pytestmark = pytest.mark.rows(8)


GUIDES: Final = {page: guides.read(page) for page in guides.pages()}
VARIANTS: Final = [variant for guide in GUIDES.values() for variant in guide.variants]
ACCESS: Final = {variant.name: guide.access for guide in GUIDES.values() for variant in guide.variants}
ROWS: Final = [(variant, *row) for variant in VARIANTS for row in variant.answers]
PROJECT_SECRET: Final = secrets.token_urlsafe(48)
LOGOUT: Final = "/v1/backchannel-logout"


def names(value: object) -> str:
    return value.name if isinstance(value, Variant) else str(value)


def encoded(shape: Shape) -> str:
    """The token of a shape, signed by whom it names."""
    if shape.raw is not None:
        return shape.raw
    signed = f"{b64(json.dumps(shape.header).encode())}.{b64(json.dumps(shape.claims).encode())}"
    return f"{signed}.{b64(b'' if shape.signer is None else _signature(signed, shape))}"


def _signature(signed: str, shape: Shape) -> bytes:
    algorithm = str(shape.header["alg"])
    if algorithm.startswith("HS"):
        known = {"project secret": PROJECT_SECRET}
        return signature(signed, algorithm, known.get(str(shape.signer), private_key("HS256", str(shape.signer))))
    return signature(signed, algorithm, private_key(algorithm, str(shape.signer)))


@dataclass
class Deployed:
    """A service with the guides' configurations, and the rooms of the pages."""

    service: ServiceProcess
    configs: dict[str, dict[str, Any]]
    rooms: dict[str, str]

    def bearer(self, name: str, row: str) -> str:
        return encoded(SHAPES[name](self.configs[name])[row])

    def ask(self, method: str, path: str, bearer: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {bearer}"}
        return requests.request(method, self.service.url + path, headers=headers, timeout=15, **options)

    def enter(self, name: str, bearer: str) -> requests.Response:
        return self.ask("POST", f"/v1/rooms/{self.rooms[name]}/token", bearer)

    def administer(self, bearer: str) -> int:
        return self.ask("GET", "/v1/admin/rooms", bearer).status_code


@pytest.fixture(scope="module")
def configs() -> Iterator[dict[str, dict[str, Any]]]:
    """The configurations by name, and all that their issuers publish, on this machine: each has hosts of its own,
    since an issuer is in a table once.
    """
    found = {}
    with contextlib.ExitStack() as stack:
        for variant in VARIANTS:
            hosts = {host: stack.enter_context(IdentityProvider()) for host in guides.hosts(variant.members)}
            config = variant.localised({host: provider.url for host, provider in hosts.items()}, PROJECT_SECRET)
            publish(variant.name, config, {urlsplit(provider.url).netloc: provider for provider in hosts.values()})
            found[variant.name] = config
        yield found


@pytest.fixture(scope="module")
def deployed(valkey: Valkey, sandbox: Sandbox, configs: dict[str, dict[str, Any]]) -> Iterator[Deployed]:
    """Its rooms are made by the guides' own administrators."""
    env = settings_with(sandbox, valkey, *configs.values(), WEB_CONCURRENCY="1")
    with contextlib.contextmanager(running)(ServiceProcess(env)) as service:
        until(lambda: _keys_loaded(service.url), what="the keys of every issuer")
        made = Deployed(service, configs, {variant.name: fresh(variant.name) for variant in VARIANTS})
        for variant in VARIANTS:
            row = next(row for row, answer in variant.answers if answer == "administrator")
            path, spec = f"/v1/admin/rooms/{made.rooms[variant.name]}", {"access": ACCESS[variant.name]}
            answer = made.ask("PUT", path, made.bearer(variant.name, row), json=spec)
            assert answer.ok, answer.text
        yield made


def _keys_loaded(url: str) -> bool:
    keys = requests.get(f"{url}/readyz", timeout=2).json()["keys"]
    return all(state["loaded"] for state in keys.values())


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_every_row_of_a_guide_is_a_token_and_every_token_a_row(variant: Variant) -> None:
    """No shape is left untried, and no row is text alone."""
    shapes = SHAPES[variant.name](variant.members)

    assert [row for row, _ in variant.answers] == list(dict.fromkeys(row for row, _ in variant.answers))
    assert {row for row, _ in variant.answers} == set(shapes)
    assert {answer for _, answer in variant.answers} == {"participant", "moderator", "administrator", "401"}


@pytest.mark.parametrize(("variant", "row", "answer"), ROWS, ids=names)
def test_a_guide_tells_the_answer(variant: Variant, row: str, answer: str, deployed: Deployed) -> None:
    """A token of that kind gets that role in a room with the page's rules, may administer or not, or is refused."""
    bearer = deployed.bearer(variant.name, row)
    entered, administered = deployed.enter(variant.name, bearer), deployed.administer(bearer)

    if answer == "401":
        assert (entered.status_code, administered, entered.json()["code"]) == (401, 401, "invalid_token")
    elif answer == "administrator":
        assert (entered.status_code, administered) == (200, 200)
    else:
        assert (entered.status_code, administered) == (200, 403)
        assert entered.json()["participant"]["role"] == answer


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_a_user_has_the_id_that_the_guide_names(variant: Variant, deployed: Deployed) -> None:
    """The claim of the configuration, with the issuer's name before it unless it is the default."""
    row = variant.answers[0][0]
    written = SHAPES[variant.name](deployed.configs[variant.name])[row].claims
    prefix = "" if variant is VARIANTS[0] else f"{variant.name}:"
    shown = deployed.enter(variant.name, deployed.bearer(variant.name, row)).json()["participant"]["user_id"]

    assert shown == prefix + written[variant.members.get("user_claim", "sub")]


NAMES: Final = {"auth0": "Alice Abel", "cognito": "alice", "cognito-id": "Alice Abel", "entra": "Alice Abel"}


@pytest.mark.parametrize(("name", "shown"), [*NAMES.items(), ("supabase", None), ("supabase-legacy", None)])
def test_a_user_has_the_name_that_the_token_gives(name: str, shown: str | None, deployed: Deployed) -> None:
    """Supabase's could be anything that the user likes, so it is not taken."""
    row = next(variant.answers[0][0] for variant in VARIANTS if variant.name == name)

    assert deployed.enter(name, deployed.bearer(name, row)).json()["participant"]["name"] == shown


@pytest.mark.parametrize("name", LOGOUTS)
def test_a_logout_at_the_provider_ends_the_bearers(name: str, deployed: Deployed) -> None:
    """The provider's own logout token; those who sign in afterwards are in again."""
    row = next(variant.answers[0][0] for variant in VARIANTS if variant.name == name)
    shape = SHAPES[name](deployed.configs[name])[row]
    told = encoded(LOGOUTS[name](deployed.configs[name]))
    assert deployed.enter(name, encoded(shape)).status_code == 200

    answer = requests.post(deployed.service.url + LOGOUT, data={"logout_token": told}, timeout=15)

    assert answer.status_code == 200, answer.text
    assert deployed.enter(name, encoded(shape)).json()["code"] == "session_revoked"
    later = shape.saying(iat=shape.claims["iat"] + 10, exp=shape.claims["exp"] + 10)
    assert deployed.enter(name, encoded(later)).status_code == 200


def sign_out_at_keycloak(deployed: Deployed, **changes: Any) -> list[str]:
    """What becomes of two sessions of a user, of whom a logout token with these claims tells: ``good``, or a code."""
    user, config = fresh("user"), deployed.configs["keycloak"]
    access = SHAPES["keycloak"](config)["access token"].saying(sub=user)
    sessions = [encoded(access.saying(sid=sid)) for sid in ("s-1", "s-2")]
    told = encoded(LOGOUTS["keycloak"](config).saying(sub=user, **changes))
    assert [deployed.enter("keycloak", bearer).status_code for bearer in sessions] == [200, 200]

    answer = requests.post(deployed.service.url + LOGOUT, data={"logout_token": told}, timeout=15)

    assert answer.status_code == 200, answer.text
    return [deployed.enter("keycloak", bearer).json().get("code", "good") for bearer in sessions]


OFFLINE: Final = {"http://schemas.openid.net/event/backchannel-logout": {}, "revoke_offline_access": True}


@pytest.mark.parametrize("changes", [{}, {"events": OFFLINE}], ids=["off", "offline sessions revoked"])
def test_signing_out_everywhere_at_keycloak_ends_every_session(changes: dict[str, Any], deployed: Deployed) -> None:
    """As the guide has it, "session required" is off, and the one logout token names no session."""
    assert sign_out_at_keycloak(deployed, **changes) == ["session_revoked"] * 2


@pytest.mark.parametrize("changes", [{}, {"events": OFFLINE}], ids=["on", "offline sessions revoked"])
def test_a_logout_token_of_keycloak_with_a_session_ends_that_one(changes: dict[str, Any], deployed: Deployed) -> None:
    """With "session required" on. The one that Keycloak sends for all sessions ends one as well, as the guide warns."""
    assert sign_out_at_keycloak(deployed, sid="s-1", **changes) == ["session_revoked", "good"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("`x-amzn-oidc-data`", "malformed"),
        ("`x-amzn-oidc-data` without its padding", "missing_claim"),
        ("`x-amzn-oidc-identity`", "not_a_jwt"),
    ],
)
def test_the_log_says_what_the_load_balancers_page_says(row: str, reason: str, deployed: Deployed) -> None:
    """Of each header that is no bearer."""
    service, name = deployed.service, fresh("alb")
    headers = {"Authorization": f"Bearer {deployed.bearer('alb', row)}", "X-Request-Id": name}
    assert requests.get(f"{service.url}/v1/rooms", headers=headers, timeout=15).status_code == 401

    line = until(lambda: next((text for text in service.output().splitlines() if name in text), ""), what="the line")
    assert json.loads(line)["reason"] == reason
    assert f"`{reason}`" in (guides.FOLDER / "aws-alb.md").read_text("utf-8")


BY_EMAIL: Final = {
    "Auth0 access token": "auth0",
    "Firebase ID token": "firebase",
    "Cognito access token": "cognito",
    "Cognito ID token": "cognito-id",
    "Keycloak access token": "keycloak",
    "Clerk session token": "clerk",
    "Supabase access token": "supabase",
    "Entra ID access token": "entra",
}


def test_the_file_of_several_issuers_is_one() -> None:
    """As it is printed; the first is the default."""
    table = {"AUTH_ISSUERS": guides.blocks("README", "")[0]}
    env = environment(AUTH_ISSUER=None, AUTH_AUDIENCE=None, AUTH_HS256_SECRET=None) | table
    settings = Settings.from_env(env)

    assert [(issuer.name, issuer.default) for issuer in settings.issuers] == [("staff", True), ("customers", False)]


@pytest.mark.parametrize(("kind", "answer"), guides.table("README", "| token | by `email` |"))
def test_an_address_is_an_id_only_where_the_token_proves_it(kind: str, answer: str) -> None:
    """The table of the page: nobody, or somebody whose address is verified."""
    variant = next(variant for variant in VARIANTS if variant.name == BY_EMAIL[kind])
    shape = SHAPES[variant.name](variant.members)[variant.answers[0][0]]
    given = {name: value for name, value in variant.members.items() if name not in {"jwks_url", "discovery_url"}}
    key = pem(str(shape.header["alg"]), str(shape.signer))
    gate = verifier(read_issuer({**given, "public_key": key, "user_claim": "email"}), clock=Clock())

    if answer.startswith("nobody"):
        for said in ({}, {"email": "alice@example.com"}):
            with pytest.raises(InvalidToken):
                ask(gate, encoded(shape.saying(**said)))
    else:
        assert ask(gate, encoded(shape)).user == "alice@example.com"
        with pytest.raises(InvalidToken):
            ask(gate, encoded(shape.saying(email_verified=False)))


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_the_variables_of_a_single_issuer_say_the_same(variant: Variant) -> None:
    """Each member in upper case with ``AUTH_`` before it, lists with commas."""
    members = variant.localised({host: f"https://{host}" for host in guides.hosts(variant.members)}, PROJECT_SECRET)
    texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in members.items()}
    cleared: dict[str, str | None] = {"AUTH_HS256_SECRET": None}
    variables = {f"AUTH_{name.upper()}": text for name, text in texts.items()}

    assert Settings.from_env(environment(**{**cleared, **variables})).issuers == (read_issuer(members),)


def test_the_place_for_a_secret_is_no_secret() -> None:
    """A page that is copied without filling it in refuses the start."""
    legacy = next(variant for variant in VARIANTS if variant.name == "supabase-legacy")

    with pytest.raises(Faults, match="hs256_secret"):
        read_issuer(legacy.members)


SETTINGS_FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "must be an https URL (http only on this machine itself)": {"discovery_url": "http://example.com/"},
    "set exactly one of hs256_secret, public_key, jwks_url, discovery_url": {"jwks_url": "https://example.com/keys"},
}
KEYS_FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "(the OpenID configuration is of another issuer)": {"issuer": "{url}/"},
    "(status 404)": {"discovery_url": "{url}/configuration"},
    "(no usable key: is for no allowed algorithm)": {"algorithms": "ES256"},
    "(not JSON)": {"discovery_url": "{url}/x509"},
    "(certificate)": {"discovery_url": "{tls}"},
    "(proxy)": {"discovery_url": "https://login.company.test", "proxy": "http://127.0.0.1:9"},
}


def _staff(provider: IdentityProvider) -> dict[str, Any]:
    """The example of the page, at this provider."""
    keys = {"issuer": provider.url, "jwks_uri": provider.url + "/keys"}
    provider.answer(document(keys), "/.well-known/openid-configuration")
    provider.publish(jwk("RS256"))
    return guides.read("README").variants[0].members | {"issuer": provider.url}


def _mistaken(
    stack: contextlib.ExitStack, faults: Mapping[str, Mapping[str, str]], tls: str = ""
) -> list[dict[str, Any]]:
    """The example of the page with each of these faults, named by the fault's place."""
    issuers = []
    for number, spoilt in enumerate(faults.values()):
        provider = stack.enter_context(IdentityProvider())
        provider.answer(body(b"-----BEGIN CERTIFICATE-----"), "/x509")
        changes = {name: value.format(url=provider.url, tls=tls) for name, value in spoilt.items()}
        issuers.append(_staff(provider) | {"name": f"staff-{number}"} | changes)
    return issuers


@pytest.fixture(scope="module")
def checked(
    sandbox: Sandbox, valkey: Valkey, configs: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """What ``check`` says of the guides' issuers, of the page's example, and of that with each fault of its keys."""
    with contextlib.ExitStack() as stack:
        inside = stack.enter_context(IdentityProvider(company(tmp_path_factory.mktemp("company"), "127.0.0.1")[0]))
        good = _staff(stack.enter_context(IdentityProvider()))
        issuers = [*configs.values(), good, *_mistaken(stack, KEYS_FAULTS, inside.url)]
        done = run(settings_with(sandbox, valkey, *issuers), "check")
    assert done.returncode == 2
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def mistakes() -> list[str]:
    """What ``check`` says of mistaken settings."""
    with contextlib.ExitStack() as stack:
        done = run_here(settings_alone(*_mistaken(stack, SETTINGS_FAULTS)), "check")
    assert done.returncode == 2
    return (done.stdout + done.stderr).splitlines()


def test_check_finds_the_keys_of_every_guide(checked: list[str]) -> None:
    """As many as the provider has published for signatures."""
    found = {match[1]: int(match[2]) for line in checked if (match := re.match(r"ok .*issuer (\S+): (\d+) key", line))}
    single = {"clerk", "clerk-template", "keycloak", "supabase-legacy"}
    assert found == {variant.name: 1 if variant.name in single else 2 for variant in VARIANTS} | {"staff": 1}


def test_check_says_what_the_page_shows(checked: list[str]) -> None:
    """The lines of the example, letter for letter."""
    shown = guides.blocks("README", "text")[0].splitlines()

    assert [line for line in checked if line in shown] == shown


def test_check_says_of_a_bearer_what_the_page_shows(idp: IdentityProvider) -> None:
    """The line of the example, letter for letter."""
    bearer = token(claims(iss=idp.url, aud="account", **life_of(600)))
    said = run_here(settings_alone(_staff(idp)), "check", "--bearer", bearer)

    assert said.stdout.splitlines()[-1] == guides.blocks("README", "text")[1]


def test_every_reason_is_explained() -> None:
    """The table of the page has each of the closed set, and no other."""
    rows = guides.table("README", "| reason | what to do |")

    assert sorted(row[0] for row in rows) == sorted(f"`{reason}`" for reason in Reason)


@pytest.mark.parametrize(("said", "because"), guides.table("README", "| it says | because |"))
def test_check_says_what_is_wrong(said: str, because: str, checked: list[str], mistakes: list[str]) -> None:
    """Each message of the page, for the issuer that has the mistake and for no other."""
    assert because
    message = said.strip("`")
    in_keys = message in KEYS_FAULTS
    (line,) = (line for line in (checked if in_keys else mistakes) if message in line)
    place = list(KEYS_FAULTS if in_keys else SETTINGS_FAULTS).index(message)

    assert (f"issuer staff-{place}: " if in_keys else f"issuer {place + 1}, ") in line
