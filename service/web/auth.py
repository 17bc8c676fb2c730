"""Who may ask: every blueprint names its gate when it is made, and a view without one is refused.

Rules for editors:
* the gate runs before the request is validated: a stranger learns nothing about schemas;
* ``Principal`` comes from the verifier and from nowhere else; token in the header only, never in a query or cookie.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import cast

from flask import Blueprint, Response, current_app, g, request

from service.errors import InsufficientScope
from service.identity.verifier import Principal
from service.rooms.access import Moderator
from service.storage.share_store import CALLS
from service.web.request_body import check_request
from service.web.services import services

# Views by method and path, such as ``GET /v1/me``.
Routes = Mapping[str, Callable[..., Response]]


class Gate(Enum):
    """``OPEN`` asks for nothing, ``USER`` for a valid bearer, ``MODERATOR`` for one that may run the meeting of the
    room in the path, ``ADMIN`` for one with the admin scope.
    """

    OPEN = "open"
    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


class GatedBlueprint(Blueprint):
    """A blueprint all of whose views stand behind one gate; behind a gate every request is also validated, by ``check``
    where there is more to it.
    """

    def __init__(self, name: str, gate: Gate, routes: Routes, check: Callable[[], None] = check_request) -> None:
        super().__init__(name, __name__)
        self.gate = gate
        if gate is not Gate.OPEN:
            self.before_request(_require_user)
            if gate is Gate.MODERATOR:
                self.before_request(_require_moderator)
            if gate is Gate.ADMIN:
                self.before_request(_require_admin)
            self.before_request(check)
        for route, view in routes.items():
            method, path = route.split()
            self.add_url_rule(path, view_func=view, methods=[method])


def refuse_ungated() -> None:
    """To be called before each request: no view runs that no ``GatedBlueprint`` holds."""
    if request.endpoint is not None and not isinstance(
        current_app.blueprints.get(request.blueprint or ""), GatedBlueprint
    ):
        raise RuntimeError("a view without a gate")


def principal() -> Principal:
    """The verified caller of a view behind the user or admin gate."""
    return cast("Principal", g.principal)


def moderator() -> Moderator:
    """The caller of a view behind the moderator gate, and the room in its path."""
    return cast("Moderator", g.moderator)


def _require_user() -> None:
    g.principal = services().verifier.verify(request.headers.getlist("Authorization"))
    reads = request.method in {"GET", "HEAD"}
    services().shares.begin(g.principal.user, admin=g.principal.admin, reads=reads).spend(CALLS)


def _require_moderator() -> None:
    g.moderator = services().directory.moderator(principal(), (request.view_args or {})["alias"])


def _require_admin() -> None:
    if not principal().admin:
        raise InsufficientScope
    services().revocations.check(principal())
