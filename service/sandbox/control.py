"""The control calls under ``/sandbox``: what a test asks of the sandbox, never of Telnyx. One table lists them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import Flask, Response, request

from service.sandbox import about, errors, objects, values
from service.sandbox.bodies import body, path_id
from service.sandbox.deliveries import Target
from service.sandbox.parts import Parts
from service.sandbox.webhooks import event


@dataclass(frozen=True, slots=True)
class Call:
    """One control call and what it is for."""

    method: str
    path: str
    view: Callable[..., Any]
    what: str


_BASE: Final = "/sandbox/"


def add_control(app: Flask, parts: Parts) -> None:
    """All calls, and ``GET /sandbox``, which tells of them."""
    calls = (
        *_observing(parts),
        *_spoiling(parts),
        *_time(parts),
        *_participants(parts),
        *_objects(parts),
        *_webhooks(parts),
        Call(
            "GET",
            "signalling",
            parts.signalling.told,
            "where the signalling of client SDKs is; how to lead one there",
        ),
        *_identity(parts),
    )
    for call in calls:
        name = f"{call.method} {call.path}".replace(".", "_")
        app.add_url_rule(_BASE + call.path, name, call.view, methods=[call.method])
    listed = [{"method": call.method, "path": _BASE + call.path, "what": call.what} for call in calls]
    app.add_url_rule("/sandbox", "about", lambda: about.told(listed))


def _done(effect: Callable[[], object]) -> Callable[[], Response]:
    def view() -> Response:
        effect()
        return Response(status=204)

    return view


def _observing(parts: Parts) -> list[Call]:
    record = parts.record

    def seen() -> Any:
        since = request.args.get("since", "0")
        return {"data": record.entries(request.args.get("operation"), values.integer(since, "since"))}

    return [
        Call("GET", "requests", seen, "what was asked; ?operation= and ?since= (a seq) choose"),
        Call("DELETE", "requests", _done(record.clear), "forget what was asked"),
        Call("GET", "requests/counts", record.counts, "how often each operation was asked for"),
    ]


def _spoiling(parts: Parts) -> list[Call]:
    faults, switches, limit = parts.faults, parts.switches, parts.ratelimit

    def remove(number: int) -> Any:
        faults.remove(number)
        return Response(status=204)

    def set_switches() -> Any:
        switches.choose(body())
        return switches.to_json()

    def set_keys() -> Any:
        accepted = body().get("accepted")
        parts.accepted_keys = None if accepted is None else frozenset(accepted)
        return Response(status=204)

    return [
        Call("GET", "faults", lambda: {"data": [fault.to_json() for fault in faults.all()]}, "the faults in force"),
        Call("POST", "faults", lambda: (faults.add(body()).to_json(), 201), "operation, fault, times, probability"),
        Call("DELETE", "faults", _done(faults.clear), "no more faults; requests that hang are let go"),
        Call("DELETE", "faults/<int:number>", remove, "one fault less, by its id"),
        Call("GET", "switches", switches.to_json, "what the documentation leaves open, and the answers in force"),
        Call("PUT", "switches", set_switches, "other answers, by the name of the switch"),
        Call("PUT", "api-keys", set_keys, "accepted: a list of keys, or null for any that begins with KEY"),
        Call("GET", "rate-limit", limit.to_json, "the rate limit in force"),
        Call("PUT", "rate-limit", lambda: limit.choose(body()), "limit, window in seconds, operation (a glob)"),
        Call("DELETE", "rate-limit", _done(limit.clear), "no rate limit"),
    ]


def _time(parts: Parts) -> list[Call]:
    def advance() -> Any:
        parts.clock.advance(float(body().get("advance", 0)))
        parts.world.tick()
        return {"now": parts.clock.now()}

    def reset() -> None:
        parts.accepted_keys = None
        for clear in (parts.faults.clear, parts.record.clear, parts.ratelimit.clear, parts.switches.reset):
            clear()
        parts.clock.reset()
        parts.world.reset()
        parts.outbox.clear()

    return [
        Call("POST", "clock", advance, "advance: seconds by which the sandbox's time moves on"),
        Call("POST", "reset", _done(reset), "an account just opened, no faults, the usual switches"),
    ]


def _participants(parts: Parts) -> list[Call]:
    """Simulated users of the client SDKs: they join with a client token, and that is all that lets them stay."""
    sessions, account = parts.world.sessions, parts.world.account

    def join() -> Any:
        asked = body()
        chosen = asked.get("participant_id")
        made = sessions.join(
            str(asked.get("token")),
            values.text(asked.get("context"), "context"),
            None if chosen is None else values.ident(chosen, "participant_id"),
        )
        return sessions.look(made["id"]), 201

    def leave(participant_id: str) -> Any:
        sessions.leave(path_id(participant_id), "user_initiated")
        return Response(status=204)

    def hold(participant_id: str) -> Any:
        return sessions.look(sessions.hold(path_id(participant_id), str(body().get("token")))["id"])

    def everybody() -> Any:
        return {"data": [sessions.look(one["id"]) for one in account.all("participants")]}

    one = "participants/<participant_id>"
    return [
        Call("GET", "participants", everybody, "all participants, with room, state, mute, reason of leaving"),
        Call("POST", "participants", join, "join with token; context and participant_id as the client sets them"),
        Call("GET", one, lambda participant_id: sessions.look(path_id(participant_id)), "one participant"),
        Call("DELETE", one, leave, "leave of its own will"),
        Call("PUT", one + "/token", hold, "go on with another token, as updateClientToken does"),
    ]


def _objects(parts: Parts) -> list[Call]:
    account, links = parts.world.account, parts.world.links

    def remove(kind: str, ident: str) -> Any:
        objects.remove(account, kind, path_id(ident))
        return Response(status=204)

    def media(ident: str) -> Any:
        if not links.good(ident, request.args.get("expires", ""), request.args.get("signature", "")):
            raise errors.forbidden()
        if ident not in account.recordings and ident not in account.compositions:
            raise errors.not_found()
        answer = Response(f"The sandbox makes no media; this stands for {ident}.\n" * 20, mimetype="text/plain")
        return answer.make_conditional(request.environ, accept_ranges=True, complete_length=len(answer.get_data()))

    placed = "room, session, participant, recording or composition with any member, id and state"
    return [
        Call("GET", "objects/<kind>", lambda kind: {"data": objects.kept(account, kind)}, "all, with every member"),
        Call("POST", "objects/<kind>", lambda kind: (objects.place(account, kind, body()), 201), f"place a {placed}"),
        Call("DELETE", "objects/<kind>/<ident>", remove, "take one out, without any effect on others"),
        Call("GET", "media/<ident>", media, "where a download_url leads: text that stands for the media, with ranges"),
    ]


def _webhooks(parts: Parts) -> list[Call]:
    outbox = parts.outbox

    def listed() -> Any:
        return {"data": outbox.deliveries(request.args.get("event_type"), request.args.get("state"))}

    def send() -> Any:
        asked = body()
        target = Target(str(values.url(asked.get("url"), "url") or ""), asked.get("failover_url"))
        data = event(str(asked.get("event_type")), asked.get("payload") or {}, parts.clock.now(), asked.get("id"))
        data["occurred_at"] = asked.get("occurred_at") or data["occurred_at"]
        return _sent(asked, data, target)

    def resend(number: int) -> Any:
        asked, old = body(), outbox.delivery(number)
        chosen = values.url(asked.get("url"), "url")
        return _sent(asked, old.data, replace(old.target, url=chosen) if chosen else old.target)

    def _sent(asked: Mapping[str, Any], data: Mapping[str, Any], target: Target) -> Any:
        skew, damage = float(asked.get("skew_secs", 0)), asked.get("damage")
        times = values.integer(asked.get("times", 1), "times", 1, 1000)
        made = [outbox.send(data, target, skew=skew, damage=damage) for _ in range(times)]
        return {"data": [delivery.to_json(parts.clock.now()) for delivery in made]}, 201

    def release() -> Any:
        asked = body()
        times = values.integer(asked.get("times", 1), "times", 1, 100)
        return {"released": outbox.release(asked.get("order", "made"), times)}

    key = {"public_key": outbox.public_key}
    return [
        Call("GET", "webhook-key", lambda: key, "the Ed25519 public key of webhooks, base64"),
        Call("GET", "webhooks", listed, "deliveries and their attempts; ?event_type= and ?state= choose"),
        Call("DELETE", "webhooks", _done(outbox.clear), "forget them; nothing on its way is tried again"),
        Call("POST", "webhooks", send, "any event: event_type, payload, url, id, times, skew_secs, damage"),
        Call("POST", "webhooks/<int:number>/resend", resend, "the same event again: times, url, skew_secs, damage"),
        Call("PUT", "webhooks/mode", lambda: outbox.choose_mode(body()), "hold, drop and duplicate (probabilities)"),
        Call("POST", "webhooks/release", release, "send what is held; order: made, reversed, shuffled; times"),
    ]


def _identity(parts: Parts) -> list[Call]:
    idp = parts.idp

    def token() -> Any:
        made = idp.token(body())
        if request.accept_mimetypes.best == "text/plain":
            return Response(made, mimetype="text/plain")
        return {"token": made}

    def rotate() -> Any:
        idp.rotate(drop_old=bool(body().get("drop_old")))
        return idp.jwks()

    return [
        Call("GET", "idp/.well-known/openid-configuration", idp.configuration, "discovery of the demo issuer"),
        Call("GET", "idp/jwks", idp.jwks, "its public keys"),
        Call("GET", "idp/users", lambda: {"data": idp.users()}, "the demo users: whom a token may be asked for"),
        Call("POST", "idp/token", token, "a bearer for user; name, ttl, audience, claims, alg"),
        Call("POST", "idp/rotate", rotate, "sign with new keys; drop_old unpublishes the ones before"),
    ]
