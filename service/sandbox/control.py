"""The control calls under ``/sandbox``: what a test asks of the sandbox, and never of Telnyx.

The docstring of a view, or of the method that is one, is its description in ``GET /sandbox``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, request

from service.sandbox import about, errors, fields, objects
from service.sandbox.bodies import json_body
from service.sandbox.deliveries import Target
from service.sandbox.idp import IdentityProvider
from service.sandbox.sandbox import Sandbox
from service.sandbox.webhooks import event

Json = dict[str, Any]
# How often one call may send an event.
_MAX_TIMES = 1000


def add_control(app: Flask, sandbox: Sandbox) -> None:
    """Add all control calls."""
    control = Blueprint("control", __name__, url_prefix="/sandbox")
    # What needs nothing of the request's body is a method of its part.
    calls: Mapping[str, Callable[..., Any]] = {
        "GET /requests/counts": sandbox.requests.counts,
        "DELETE /requests": sandbox.requests.clear,
        "DELETE /faults": sandbox.faults.clear,
        "DELETE /faults/<int:number>": sandbox.faults.remove,
        "GET /switches": sandbox.switches.to_json,
        "GET /rate-limit": sandbox.ratelimit.to_json,
        "DELETE /rate-limit": sandbox.ratelimit.clear,
        "POST /reset": sandbox.reset,
        "GET /participants/<uuid:participant_id>": sandbox.world.sessions.describe,
        "DELETE /webhooks": sandbox.webhooks.clear,
        "GET /signalling": sandbox.signalling.describe,
    }
    for call, method in calls.items():
        verb, path = call.split(" ")
        control.add_url_rule(path, call, _answering(method), methods=[verb])
    _add_settings(control, sandbox)
    _add_participants(control, sandbox)
    _add_objects(control, sandbox)
    _add_webhooks(control, sandbox)
    _add_identity(app, control, sandbox.idp)
    control.add_url_rule("", "about", lambda: about.describe(app.url_map, app.view_functions))
    app.register_blueprint(control)


def _answering(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method as a view: what returns nothing has done what was asked."""

    @wraps(method)
    def view(**given: Any) -> Any:
        answer = method(**given)
        return _done() if answer is None else answer

    return view


def _done() -> Response:
    return Response(status=204)


def _add_settings(control: Blueprint, sandbox: Sandbox) -> None:
    @control.get("/requests")
    def list_requests() -> Json:
        """The requests to /v2; ?operation= and ?since= (a seq) choose."""
        since = fields.integer(request.args.get("since", "0"), "since")
        return {"data": sandbox.requests.entries(request.args.get("operation"), since)}

    @control.get("/faults")
    def list_faults() -> Json:
        """The active faults."""
        return {"data": [fault.to_json() for fault in sandbox.faults.all()]}

    @control.post("/faults")
    def add_fault() -> tuple[Json, int]:
        """Add one: operation (a glob), fault, times, probability, and the fault's own parameters."""
        return sandbox.faults.add(json_body()).to_json(), 201

    @control.put("/switches")
    def set_switches() -> Json:
        """Choose other answers, by the name of the switch."""
        sandbox.switches.choose(json_body())
        return sandbox.switches.to_json()

    @control.put("/api-keys")
    def set_api_keys() -> Response:
        """accepted: a list of keys, or null for any that begins with KEY."""
        accepted = json_body().get("accepted")
        if accepted is not None and not isinstance(accepted, list):
            raise errors.invalid("accepted", "must be an array of keys, or null")
        sandbox.accepted_keys = None if accepted is None else frozenset(map(str, accepted))
        return _done()

    @control.put("/rate-limit")
    def set_rate_limit() -> Json:
        """limit, window in seconds, operation (a glob)."""
        return sandbox.ratelimit.choose(json_body())

    @control.post("/clock")
    def advance_clock() -> Json:
        """advance: seconds by which the sandbox's time moves on."""
        sandbox.clock.offset += fields.number(json_body().get("advance", 0), "advance")
        sandbox.world.tick()
        return {"now": sandbox.clock.now()}


def _add_participants(control: Blueprint, sandbox: Sandbox) -> None:
    """Simulated users of client SDKs: they join with a client token, and may stay as long as it is valid."""
    sessions, account = sandbox.world.sessions, sandbox.world.account

    @control.get("/participants")
    def list_participants() -> Json:
        """All participants, with room, state, mute and reason of leaving."""
        return {"data": [sessions.describe(one["id"]) for one in account.where("participants")]}

    @control.post("/participants")
    def join() -> tuple[Json, int]:
        """Join with token; context and participant_id as the client sets them."""
        body = json_body()
        chosen = body.get("participant_id")
        context = fields.text(body.get("context"), "context")
        ident = None if chosen is None else fields.ident(chosen, "participant_id")
        return sessions.describe(sessions.join(str(body.get("token")), context, ident)["id"]), 201

    @control.delete("/participants/<uuid:participant_id>")
    def leave(participant_id: UUID) -> Response:
        """The participant leaves."""
        sessions.leave(participant_id, "user_initiated")
        return _done()

    @control.put("/participants/<uuid:participant_id>/token")
    def update_token(participant_id: UUID) -> Json:
        """The participant goes on with another token, as updateClientToken does."""
        return sessions.describe(sessions.update_token(participant_id, str(json_body().get("token")))["id"])


def _add_objects(control: Blueprint, sandbox: Sandbox) -> None:
    account, downloads = sandbox.world.account, sandbox.world.downloads

    @control.get("/objects/<kind>")
    def list_objects(kind: str) -> Json:
        """All rooms, sessions, participants, recordings or compositions with every member."""
        return {"data": objects.stored(account, kind)}

    @control.post("/objects/<kind>")
    def place_object(kind: str) -> tuple[Json, int]:
        """Place one with any member, id and state."""
        return objects.place(account, kind, json_body()), 201

    @control.delete("/objects/<kind>/<uuid:ident>")
    def remove_object(kind: str, ident: UUID) -> Response:
        """Remove one, without any effect on others."""
        objects.remove(account, kind, ident)
        return _done()

    @control.get("/media/<ident>")
    def load_media(ident: str) -> Response:
        """The target of a download_url: text in place of the media, with ranges."""
        if not downloads.is_valid(ident, request.args.get("expires", ""), request.args.get("signature", "")):
            raise errors.forbidden()
        if ident not in account.recordings and ident not in account.compositions:
            raise errors.not_found()
        answer = Response(f"The sandbox makes no media; this stands for {ident}.\n" * 20, mimetype="text/plain")
        answer.make_conditional(request.environ, accept_ranges=True, complete_length=len(answer.get_data()))
        return answer


def _add_webhooks(control: Blueprint, sandbox: Sandbox) -> None:
    webhooks = sandbox.webhooks

    def send(body: Mapping[str, Any], data: Mapping[str, Any], target: Target) -> tuple[Json, int]:
        skew = fields.number(body.get("skew_secs", 0), "skew_secs")
        times = fields.integer(body.get("times", 1), "times", 1, _MAX_TIMES)
        made = [webhooks.send(data, target, skew=skew, damage=body.get("damage")) for _ in range(times)]
        return {"data": [delivery.to_json(sandbox.clock.now()) for delivery in made]}, 201

    @control.get("/webhook-key")
    def show_webhook_key() -> Json:
        """The Ed25519 public key of webhooks, base64."""
        return {"public_key": webhooks.public_key}

    @control.get("/webhooks")
    def list_webhooks() -> Json:
        """Deliveries and their attempts; ?event_type= and ?state= choose."""
        return {"data": webhooks.deliveries(request.args.get("event_type"), request.args.get("state"))}

    @control.post("/webhooks")
    def send_webhook() -> tuple[Json, int]:
        """Send any event: event_type, payload, url, failover_url, id, occurred_at, times, skew_secs, damage."""
        body = json_body()
        target = Target(
            fields.url(body.get("url"), "url"), fields.url(body.get("failover_url"), "failover_url") or None
        )
        payload = fields.mapping(body.get("payload") or {}, "payload")
        data = event(str(body.get("event_type")), payload, sandbox.clock.now(), body.get("id"))
        data["occurred_at"] = body.get("occurred_at") or data["occurred_at"]
        return send(body, data, target)

    @control.post("/webhooks/<int:number>/resend")
    def resend_webhook(number: int) -> tuple[Json, int]:
        """Send the same event again: times, url, skew_secs, damage."""
        body, old = json_body(), webhooks.delivery(number)
        url = fields.url(body.get("url"), "url")
        return send(body, old.data, replace(old.target, url=url) if url else old.target)

    @control.put("/webhooks/mode")
    def set_webhook_mode() -> Json:
        """hold, drop and duplicate (probabilities)."""
        return webhooks.choose_mode(json_body())

    @control.post("/webhooks/release")
    def release_webhooks() -> Json:
        """Send the events that are held; order: made, reversed, shuffled; times."""
        body = json_body()
        times = fields.integer(body.get("times", 1), "times", 1, _MAX_TIMES)
        return {"released": webhooks.release(body.get("order", "made"), times)}


def _add_identity(app: Flask, control: Blueprint, idp: IdentityProvider) -> None:
    # Requests for the issuer's metadata and keys are recorded and meet faults, so they are operations.
    app.add_url_rule("/sandbox/idp/.well-known/openid-configuration", "idp_discovery", idp.configuration)
    app.add_url_rule("/sandbox/idp/jwks", "idp_jwks", idp.jwks)

    @control.get("/idp/users")
    def list_users() -> Json:
        """The demo users, for whom a token can be asked."""
        return {"data": idp.users()}

    @control.post("/idp/token")
    def make_token() -> Json | Response:
        """A bearer for user; name, ttl, audience, claims, alg."""
        made = idp.token(json_body())
        if request.accept_mimetypes.best == "text/plain":
            return Response(made, mimetype="text/plain")
        return {"token": made}

    @control.post("/idp/rotate")
    def rotate_keys() -> Json:
        """Sign with new keys; drop_old removes the previous ones."""
        idp.rotate(drop_old=bool(json_body().get("drop_old")))
        return idp.jwks()
