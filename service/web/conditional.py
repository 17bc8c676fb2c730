"""Conditional requests (RFC 9110 section 13): what people edit carries an ``ETag``."""

from flask import Response, jsonify, request

from service.rooms.versions import Precondition, Record, version


def shown(record: Record) -> Response:
    """A record with its version, or that the caller has this one already."""
    tag = version(record)
    known = request.method == "GET" and request.if_none_match.contains_weak(tag)
    response = Response(status=304) if known else jsonify(record.to_json())
    response.set_etag(tag)
    return response


def precondition() -> Precondition | None:
    """What ``If-Match`` and ``If-None-Match`` of this request ask for. A field that cannot be read matches nothing."""
    if "If-Match" in request.headers:
        return lambda found: found is not None and request.if_match.contains(found)
    if "If-None-Match" in request.headers:
        return lambda found: found is None or not request.if_none_match.contains_weak(found)
    return None
