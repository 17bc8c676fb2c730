"""Errors as the Telnyx API words them (docs/telnyx.md 4.2): status, string code, title, detail, pointer; in six shapes.

Each detail is a sentence for the person who made the request. It contains no values of this program.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

_HELP: Final = "https://developers.telnyx.com/docs/overview/errors/"
SHAPES: Final = ("array", "document", "bare", "map", "success", "text")


class ApiError(Exception):
    """One answer that is not 2xx. ``shape`` overrides the shape that all errors have."""

    def __init__(self, status: int, code: str, title: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.pointer = pointer
        self.map_key = title.lower().replace(" ", "_")
        self.shape: str | None = None

    def body(self, shape: str) -> Any:
        """The body in one of ``SHAPES``; ``document`` is the one that each operation declares (docs/telnyx.md 4.1)."""
        shape = self.shape or shape
        if shape == "text":
            return "upstream connect error"
        if shape == "success":
            return {"success": False, "message": "Error"}
        if shape == "map":
            return {"errors": {self.map_key: [self.detail]}}
        error: dict[str, Any] = {"code": self.code, "title": self.title, "detail": self.detail}
        if shape == "bare" or (shape == "document" and self.status in {403, 404}):
            return error
        if self.pointer is not None:
            error["source"] = {"pointer": self.pointer}
        return {"errors": [{**error, "meta": {"url": _HELP + self.code}}]}


def unauthenticated() -> ApiError:
    return ApiError(401, "10009", "Authentication failed", "Could not understand the provided credentials.")


def bad_client_token(reason: str) -> ApiError:
    """The answer to somebody who joins or stays with a client token that is not valid."""
    return ApiError(401, "10009", "unauthorized", f"The client token is {reason}.")


def forbidden() -> ApiError:
    detail = "You do not have permission to perform the requested action on the specified resource or resources."
    return ApiError(403, "10010", "Authorization failed", detail)


def not_found() -> ApiError:
    return ApiError(404, "10005", "Resource not found", "The requested resource or URL could not be found.")


def method_not_allowed(method: str) -> ApiError:
    return ApiError(405, "10030", "Method not allowed", f"The method {method} is not allowed for the requested URL.")


def out_of_range(field: str, minimum: int | None, maximum: int | None) -> ApiError:
    """At least one of the two limits is a number."""
    if minimum is None:
        detail = f"The value must be at most {maximum}"
    elif maximum is None:
        detail = f"The value must be at least {minimum}"
    else:
        detail = f"The value is outside of allowed range {minimum} to {maximum}"
    return ApiError(422, "10033", "Value outside of range", detail, f"/{field}")


def invalid(field: str, detail: str) -> ApiError:
    return ApiError(422, "10015", "Validation Failed", detail, f"/{field}")


def missing(field: str) -> ApiError:
    return ApiError(422, "10004", "Missing required parameter", f"{field} is required", f"/{field}")


def bad_filter(name: str, detail: str) -> ApiError:
    return ApiError(422, "10031", "Invalid request filter", detail, f"/{name}")


def not_one_of(field: str, values: Iterable[object]) -> ApiError:
    allowed = ", ".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    return ApiError(422, "10032", "Invalid enumerated value", f"must be one of {allowed}", f"/{field}")


def duplicate_name(shape: str | None) -> ApiError:
    """``shape`` is ``map`` where this one error has the shape that an official app decodes (docs/telnyx.md 4.1)."""
    error = ApiError(422, "10012", "Duplicate resource", "unique_name has already been taken", "/unique_name")
    error.map_key, error.shape = "unique_name_not_unique_for_user_id", shape
    return error


def bad_page() -> ApiError:
    detail = (
        "The provided 'page' parameter is invalid. "
        "It must be an object with 'size' and/or 'number' with numeric values."
    )
    return ApiError(422, "10015", "Invalid pagination", detail, "page/size")


def too_many_requests() -> ApiError:
    return ApiError(429, "10011", "Too many requests", "You have exceeded the maximum number of allowed requests.")


def session_over() -> ApiError:
    """The live API's answer to an action on a session that has ended (docs/telnyx.md 6)."""
    return ApiError(422, "10027", "Unprocessable entity", "No private_ip for room")
