"""Holds the code to the house rules, and shows each rule failing on a planted violation."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from service import telemetry
from tests import house

ROOT = Path(__file__).resolve().parents[1]

RULES = (
    house.wrong_direction,
    house.cycles,
    house.strangers,
    house.hidden_imports,
    house.built_at_import,
    house.app_lookups,
    house.ungated_blueprints,
    house.oversized,
)

VIOLATIONS = {
    "a gateway imports a rule": (
        house.wrong_direction,
        {"service.store": "from service import tokens", "service.tokens": ""},
    ),
    "a rule imports routes": (
        house.wrong_direction,
        {"service.tokens": "import service.routes.join", "service.routes.join": ""},
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
        {"service.store.rooms": "from ..tokens import Broker", "service.tokens": ""},
    ),
    "a module without a floor": (
        house.wrong_direction,
        {"service.manager": "from service import clock", "service.clock": ""},
    ),
    "two modules in a ring": (
        house.cycles,
        {"service.rooms": "import service.tokens", "service.tokens": "from service.rooms import admit"},
    ),
    "redis outside of the store": (house.strangers, {"service.tokens": "import redis.asyncio"}),
    "requests outside of its owners": (house.strangers, {"service.identity": "from requests import get"}),
    "jwt in routes": (house.strangers, {"service.routes.join": "import jwt"}),
    "flask in a rule": (house.strangers, {"service.rooms": "def f():\n    from flask import g"}),
    "an import inside a function": (
        house.hidden_imports,
        {"service.app": "def f():\n    if True:\n        from service import settings", "service.settings": ""},
    ),
    "a client made at import time": (house.built_at_import, {"service.store": "client = Redis('localhost')"}),
    "an effect at import time": (house.built_at_import, {"service.app": "if True:\n    register()"}),
    "a default made in a class body": (house.built_at_import, {"service.keys": "class A:\n    b = Session()"}),
    "a lookup of the app in a rule": (
        house.app_lookups,
        {"service.tokens": "from flask import current_app\nx = lambda: current_app.extensions"},
    ),
    "a blueprint without a gate": (
        house.ungated_blueprints,
        {"service.routes.x": "x = flask.Blueprint('x', __name__)"},
    ),
    "a module too long": (house.oversized, {"service.rooms": "\n" * 351}),
    "a function too long": (house.oversized, {"service.rooms": "def f():\n" + "    pass\n" * 60}),
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
        "service.store": "import redis\nfrom service.errors import A\nPATTERN = re.compile('x')",
        "service.tokens": "from service.store import Store\ndef f():\n    import json\n    return Store()",
        "service.routes.join": "from flask import current_app\nfrom service.tokens import f",
        "service.app": "from service.routes import join\nif __name__ == '__main__':\n    main()",
        "service.sandbox.api": "import flask\nfrom service.sandbox import world",
        "service.sandbox.world": "",
    }

    assert [complaint for rule in RULES for complaint in rule(tree)] == []


def test_the_version_is_told_once() -> None:
    """``/version``, the package and the document name the same release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["version"] == telemetry.VERSION
