"""A page about each error, where the ``type`` of a problem leads. Gate: open.

All of it is read from ``service.errors``, and so is the table in docs/reference/errors.md, which a test compares.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from flask import Response

from service.errors import OwnTrouble, ServiceError
from service.web.auth import Gate, GatedBlueprint
from service.web.problems import TYPE_PREFIX
from service.web.static_files import PageFiles

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{code}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>{title}</h1><p><code>{code}</code>, status {status}</p><p>{meaning}.</p><p>{advice}.</p>
<p><a href="/docs">All calls and their errors</a></p></main></body></html>
"""
_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# By code, else by status.
_ADVICE: Final[dict[str | int, str]] = {
    "missing_credentials": "Send the user's token as Authorization: Bearer",
    "invalid_token": "Renew the token; if a fresh one is refused too, the log line `token refused` says why",
    "insufficient_scope": "Ask `GET /v1/me`: `why_not_admin` says which of the two it is",
    "room_not_found": "Check the alias and who may enter; `GET /v1/rooms` lists the rooms of a user",
    "not_open_yet": "Tell the user when it opens",
    "waiting_for_admission": "Show the user that they wait, and ask again after `Retry-After` seconds",
    "room_full": "Tell the user, and try again after a while",
    "too_many_invites": "Revoke some that nobody needs",
    "precondition_failed": "Read the record again, and make the change to what it is now",
    "upstream_rejected_credentials": "Operators: `python -m service check` tells whether Telnyx takes TELNYX_API_KEY",
    "webhooks_not_configured": "Operators: set TELNYX_PUBLIC_KEY",
    401: "Sign the user in again",
    403: "Tell the user; it is refused until somebody changes what stands in the way",
    404: "Check the name",
    500: "Tell whoever runs the service, with `request_id`",
    502: "Tell whoever runs the service, with `request_id`",
}
_AGAIN: Final = "Send the same again after `Retry-After` seconds; go on with the token that you have"
_MEND: Final = "Change the request; the same one is refused again"


def blueprint() -> GatedBlueprint:
    """The pages."""
    problems = GatedBlueprint("problem_pages", Gate.OPEN)
    pages = PageFiles({f"{kind.code}.html": _page(kind) for kind in kinds()}, _POLICY, "public, max-age=3600")

    def get_problem(code: str) -> Response:
        """What an error means, and what to do."""
        return pages.answer(f"{code}.html")

    problems.add_url_rule(TYPE_PREFIX + "<code>", view_func=get_problem, methods=["GET"])
    return problems


def kinds() -> list[type[ServiceError]]:
    """One class for each code that callers can get, by status and code."""
    found: dict[str, type[ServiceError]] = {}
    for kind in _all(ServiceError):
        found.setdefault(kind.code, kind)
    return sorted(found.values(), key=lambda kind: (kind.status, kind.code))


def table() -> str:
    """The rows of docs/reference/errors.md."""
    rows = [f"| {kind.status} | `{kind.code}` | {_meaning(kind)} | {_advice(kind)} |\n" for kind in kinds()]
    return "| status | code | means | what to do |\n|---|---|---|---|\n" + "".join(rows)


def _all(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    if kind is not OwnTrouble:
        yield kind
    for narrower in kind.__subclasses__():
        yield from _all(narrower)


def _page(kind: type[ServiceError]) -> bytes:
    texts = {"title": kind.title, "code": kind.code, "meaning": _meaning(kind), "advice": _advice(kind)}
    return _PAGE.format(status=kind.status, **{name: escape(text) for name, text in texts.items()}).encode()


def _meaning(kind: type[ServiceError]) -> str:
    """The first sentence of what the class says of itself."""
    return " ".join((kind.__doc__ or kind.title).split()).partition(". ")[0].rstrip(".").replace("``", "`")


def _advice(kind: type[ServiceError]) -> str:
    general = _AGAIN if kind.retryable else _ADVICE.get(kind.status, _MEND)
    return _ADVICE.get(kind.code, general)
