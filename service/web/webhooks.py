"""What Telnyx tells us. Gate: open; the signature over the raw body is the credential."""

from flask import Response, jsonify, request

from service.web.auth import Gate, GatedBlueprint
from service.web.request_body import raw_body
from service.web.services import services


def blueprint() -> GatedBlueprint:
    """The call of Telnyx."""
    hooks = GatedBlueprint("hooks", Gate.OPEN)
    hooks.add_url_rule("/v1/webhooks/telnyx", view_func=receive_telnyx_event, methods=["POST"])
    return hooks


def receive_telnyx_event() -> Response:
    """An event was recorded, had been recorded before, or is of no concern here: Telnyx need not send it again."""
    headers = request.headers
    stamp, signature = headers.get("telnyx-timestamp"), headers.get("telnyx-signature-ed25519")
    return jsonify({"result": services().inbox.receive(stamp, signature, raw_body())})
