"""Holds the code to the house rules, and shows each rule failing on a planted violation."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from service.config import settings
from service.observability import telemetry
from service.web.auth import Gate, GatedBlueprint
from service.web.request_body import operation_id
from tests import house
from tests.document import document
from tests.web.doubles import make_face

ROOT = Path(__file__).resolve().parents[1]

RULES = (
    house.wrong_direction,
    house.cycles,
    house.strangers,
    house.hidden_imports,
    house.private_names,
    house.unnamed_modules,
    house.built_at_import,
    house.app_lookups,
    house.ungated_blueprints,
    house.oversized,
)

VIOLATIONS = {
    "storage imports tokens": (
        house.wrong_direction,
        {"service.storage.room_store": "from service.tokens import broker", "service.tokens.broker": ""},
    ),
    "tokens import web": (
        house.wrong_direction,
        {"service.tokens.broker": "import service.web.join", "service.web.join": ""},
    ),
    "the composition root imports a command": (
        house.wrong_direction,
        {"service.app": "from service.cli import check", "service.cli.check": ""},
    ),
    "a package imports its neighbour": (
        house.wrong_direction,
        {"service.identity.jws": "from service.telnyx.client import Telnyx", "service.telnyx.client": ""},
    ),
    "the foundation imports a package": (
        house.wrong_direction,
        {"service.clock": "from service.observability import telemetry", "service.observability.telemetry": ""},
    ),
    "the service imports the sandbox": (
        house.wrong_direction,
        {"service.telnyx": "from service.sandbox.world import World", "service.sandbox.world": ""},
    ),
    "the sandbox imports the service": (
        house.wrong_direction,
        {"service.sandbox.api": "from service.telnyx import Telnyx", "service.telnyx": ""},
    ),
    "a relative import climbs": (
        house.wrong_direction,
        {"service.storage.room_store": "from ..tokens.broker import Broker", "service.tokens.broker": ""},
    ),
    "a module without a floor": (
        house.wrong_direction,
        {"service.manager": "from service import clock", "service.clock": ""},
    ),
    "a package without a floor": (house.wrong_direction, {"service.helpers.text": ""}),
    "two modules in a ring": (
        house.cycles,
        {
            "service.rooms.models": "from service.rooms import access",
            "service.rooms.access": "from service.rooms.models import Room",
        },
    ),
    "redis outside of storage": (house.strangers, {"service.tokens.broker": "import redis"}),
    "redis in another command": (house.strangers, {"service.cli.dev": "import redis"}),
    "requests outside of its owners": (house.strangers, {"service.identity.verifier": "from requests import get"}),
    "jwt in web": (house.strangers, {"service.web.join": "import jwt"}),
    "flask in a rule": (house.strangers, {"service.rooms.models": "def f():\n    from flask import g"}),
    "gevent in a rule": (house.strangers, {"service.tokens.policy": "from gevent import Timeout"}),
    "gunicorn outside of the commands": (house.strangers, {"service.web.ops": "from gunicorn.glogging import Logger"}),
    "a private attribute of a library's object": (
        house.private_names,
        {"service.storage.servers": "def f(pool):\n    return pool._available_connections"},
    ),
    "a private attribute of ours": (
        house.private_names,
        {"service.web.ops": "def f(broker):\n    broker._flights.clear()"},
    ),
    "a private attribute by its text": (
        house.private_names,
        {"service.http_client": "def f(reply):\n    return getattr(reply.raw, '_fp')"},
    ),
    "a private name of a library": (house.private_names, {"service.clock": "from gevent import _hub_local"}),
    "a private module of a library": (house.private_names, {"service.storage.servers": "import redis._parsers"}),
    "something from a private module of a library": (
        house.private_names,
        {"service.web.cors": "from werkzeug._internal import now"},
    ),
    "a private name of ours": (
        house.private_names,
        {"service.app": "from service.web.openapi import _validator", "service.web.openapi": ""},
    ),
    "gunicorn's workers": (
        house.private_names,
        {"service.cli.worker": "from gunicorn.workers.ggevent import GeventWorker"},
    ),
    "gunicorn's parser": (house.private_names, {"service.cli.framing": "import gunicorn.http.parser"}),
    "urllib3's connections": (
        house.private_names,
        {"service.http_client": "from urllib3.connection import HTTPConnection"},
    ),
    "urllib3's pool": (house.private_names, {"service.http_client": "import urllib3.connectionpool as pool"}),
    "redis-py's connections": (
        house.private_names,
        {"service.storage.servers": "from redis.connection import Connection"},
    ),
    "redis-py's connections, as a module": (
        house.private_names,
        {"service.storage.servers": "from redis import connection"},
    ),
    "redis-py's connections, by their full name": (
        house.private_names,
        {"service.storage.servers": "import redis\ndef f():\n    return redis.connection.Connection()"},
    ),
    "a private name of another class": (
        house.private_names,
        {
            "service.storage.servers": "class A:\n    def f(self, pool):\n        self._x = pool._lock\n"
            "class B:\n    _lock: int",
        },
    ),
    "a private name by permission": (
        house.private_names,
        {"service.app": "x = 1  # noqa: " + "SLF001 - it is there"},
    ),
    "a module that its package does not name": (
        house.unnamed_modules,
        {"service.rooms": '"""Read ``models`` first."""', "service.rooms.models": "", "service.rooms.access": ""},
    ),
    "an import inside a function": (
        house.hidden_imports,
        {"service.app": "def f():\n    if True:\n        from service import settings", "service.config.settings": ""},
    ),
    "a client made at import time": (house.built_at_import, {"service.storage": "client = Redis('localhost')"}),
    "an effect at import time": (house.built_at_import, {"service.app": "if True:\n    register()"}),
    "a default made in a class body": (
        house.built_at_import,
        {"service.identity.key_sources": "class A:\n    b = Session()"},
    ),
    "a lookup of the app in a rule": (
        house.app_lookups,
        {"service.tokens.broker": "from flask import current_app\nx = lambda: current_app.extensions"},
    ),
    "a blueprint without a gate": (
        house.ungated_blueprints,
        {"service.web.x": "x = flask.Blueprint('x', __name__)"},
    ),
    "a module too long": (house.oversized, {"service.rooms.models": "\n" * 351}),
    "a function too long": (house.oversized, {"service.rooms.models": "def f():\n" + "    pass\n" * 60}),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule: house.Rule) -> None:
    """No module of the service breaks this rule."""
    assert rule(house.sources(ROOT)) == []


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_planted_violation_is_found(name: str) -> None:
    """Each rule complains about a module that breaks it."""
    rule, planted = VIOLATIONS[name]

    assert rule(planted) != []


def test_what_is_allowed_is_not_complained_about() -> None:
    """A tree with one import in each allowed direction passes every rule."""
    tree = {
        "service.errors": "class A(Exception): ...",
        "service.storage": '"""All of it is in ``room_store``."""',
        "service.storage.room_store": "import redis\nfrom service.errors import A\nPATTERN = re.compile('x')",
        "service.tokens.broker": "from service.storage import room_store\ndef f():\n    import json\n    return g()",
        "service.tokens.policy": "class A:\n    def f(self, other):\n        self._x = other._x",
        "service.tokens.vault": "from service.tokens import policy\ndef f(pair):\n    return pair._replace(x=1)",
        "service.web.join": "from flask import current_app\nfrom service.tokens.broker import f",
        "service.app": "from service.web import join\nif __name__ == '__main__':\n    main()",
        "service.cli.serve": "from service import app\nfrom gevent import monkey",
        "service.sandbox.api": "import flask\nfrom service.sandbox import world",
        "service.sandbox.world": "",
    }

    assert [complaint for rule in RULES for complaint in rule(tree)] == []


def test_the_house_fits_into_one_picture() -> None:
    """At most twelve packages, each with its place, on at most nine floors above the modules that stand on nothing."""
    placed = {name for floor in house.FLOORS[1:] for row in floor for name in row}
    packages = {path.parent.name for path in (ROOT / "service").glob("*/__init__.py")}

    assert len(house.FLOORS[1:]) <= 9
    assert len(packages) <= 12
    assert {f"service.{name}" for name in packages} - placed == {house.SANDBOX}


def test_the_picture_is_the_house() -> None:
    """The documents draw the floors that the imports are held to."""
    held = [{name.removeprefix("service.") for row in floor for name in row} for floor in house.FLOORS]

    assert house.drawn_floors((ROOT / "docs/architecture.md").read_text("utf-8")) == [
        floor - {"__main__"} for floor in held
    ]


def documents() -> dict[str, str]:
    """The papers of this repository by their paths."""
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("package", ["service", "tests"])
def test_what_is_cited_is_there(package: str) -> None:
    """Every document, and every numbered section of one, that a comment sends its reader to."""
    sources = house.sources(ROOT, package)
    # The rule itself is shown what it must find.
    sources.pop("tests.test_house", None)

    assert house.missing_citations(sources, documents()) == []


@pytest.mark.parametrize(
    "comment",
    ["# See docs/nowhere.md.", "# As docs/telnyx.md 99 has it.", "# docs/telnyx.md 1, 5.99", "# (DESIGN 4.2)"],
)
def test_a_citation_that_leads_nowhere_is_found(comment: str) -> None:
    """A document, a section, one of two sections, or a paper that is not in the repository."""
    assert house.missing_citations({"service.app": comment}, documents()) != []


def test_a_citation_that_leads_somewhere_is_none() -> None:
    """With sections of both levels, and without."""
    comment = "# docs/telnyx.md 1, 5.2; docs/decisions/redis.md"

    assert house.missing_citations({"service.app": comment}, documents()) == []


def test_routes_and_document_name_the_same_calls(tmp_path: Path) -> None:
    """Every rule of the application is an operation of the document under the name of its view, and the reverse."""
    app = make_face(tmp_path / "draining").app

    assert house.contract_gaps(calls_of(app), document()) == []


def test_a_route_that_the_document_lacks_is_found(tmp_path: Path) -> None:
    """So is an operation that the application lacks."""
    app = make_face(tmp_path / "draining").app
    written = copy.deepcopy(document())
    del written["paths"]["/version"]
    written["paths"]["/v1/rooms"]["delete"] = {"operationId": "deleteMyRooms"}

    assert house.contract_gaps(calls_of(app), written) == [
        "not in the document: GET /version getVersion",
        "not in the application: DELETE /v1/rooms deleteMyRooms",
    ]


def test_every_blueprint_has_a_gate(tmp_path: Path) -> None:
    """Only the operations calls are open, and those of Telnyx and identity providers, who sign."""
    blueprints = make_face(tmp_path / "draining").app.blueprints

    gates = {name: blueprint.gate for name, blueprint in blueprints.items() if isinstance(blueprint, GatedBlueprint)}
    assert gates == {
        "ops": Gate.OPEN,
        "pages": Gate.OPEN,
        "join": Gate.USER,
        "callbacks": Gate.OPEN,
        "meeting": Gate.MODERATOR,
        "gateway": Gate.USER,
        "guests": Gate.OPEN,
        "admin": Gate.ADMIN,
    }
    assert gates.keys() == blueprints.keys()


def test_a_view_without_a_gate_is_refused(tmp_path: Path) -> None:
    """Registered past the rules, it answers 500 and does not run."""
    app = make_face(tmp_path / "draining").app
    app.add_url_rule("/v1/forgotten", view_func=lambda: "ran")

    answer = app.test_client().get("/v1/forgotten")

    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")


def test_the_reference_lists_the_settings() -> None:
    """The table of variables is the one that the settings print."""
    assert house.stale_settings((ROOT / "docs/reference/settings.md").read_text("utf-8"), settings.table()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.replace("8080", "8000"),
        lambda table: "\n".join(table.splitlines()[:-1]),
        lambda table: table + "| `OLD_SETTING` | | Gone. |\n",
    ],
    ids=["another default", "a row missing", "a row too many"],
)
def test_a_stale_table_is_found(change: Callable[[str], str]) -> None:
    """Any difference in a row is a complaint."""
    assert house.stale_settings(change(settings.table()), settings.table()) != []


def calls_of(app: Flask) -> set[tuple[str, str, str]]:
    """(method, path, operation id) of every rule; HEAD comes with GET and is not listed."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), operation_id(rule.endpoint))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_the_version_is_told_once() -> None:
    """``/version``, the package and the document name the same release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["version"] == telemetry.VERSION == document()["info"]["version"]
