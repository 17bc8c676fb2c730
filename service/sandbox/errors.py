"""Errors as the Telnyx API words them (UPSTREAM 4.2): status, string code, title, detail, pointer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_HELP = "https://developers.telnyx.com/docs/overview/errors/"


class ApiError(Exception):
    """One answer that is not 2xx."""

    def __init__(self, status: int, code: str, title: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(title)
        # The member of the map shape, and a shape that this one error has whatever the others have.
        self.key = title.lower().replace(" ", "_")
        self.shape: str | None = None
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.pointer = pointer

    def to_json(self) -> dict[str, Any]:
        """The array form, which official clients decode."""
        error: dict[str, Any] = {"code": self.code, "title": self.title, "detail": self.detail}
        if self.pointer is not None:
            error["source"] = {"pointer": self.pointer}
        return {"errors": [{**error, "meta": {"url": _HELP + self.code}}]}

    def to_map_json(self) -> dict[str, Any]:
        """Messages by error name, as an official app decodes a duplicate name."""
        return {"errors": {self.key: [self.detail]}}

    def to_bare_json(self) -> dict[str, Any]:
        """One bare object, as the document declares 403 and 404."""
        return {"code": self.code, "title": self.title, "detail": self.detail}


def unauthenticated() -> ApiError:
    return ApiError(401, "10009", "Authentication failed", "Could not understand the provided credentials.")


def forbidden() -> ApiError:
    detail = "You do not have permission to perform the requested action on the specified resource or resources."
    return ApiError(403, "10010", "Authorization failed", detail)


def not_found() -> ApiError:
    detail = "The requested resource or URL could not be found."
    return ApiError(404, "10005", "Resource not found", detail)


def out_of_range(field: str, least: int | None, most: int | None) -> ApiError:
    detail = f"The value is outside of allowed range {least} to {most}"
    return ApiError(422, "10033", "Value outside of range", detail, f"/{field}")


def invalid(field: str, detail: str) -> ApiError:
    return ApiError(422, "10015", "Validation Failed", detail, f"/{field}")


def missing(field: str) -> ApiError:
    return ApiError(422, "10004", "Missing required parameter", f"{field} is required", f"/{field}")


def bad_filter(name: str, detail: str) -> ApiError:
    return ApiError(422, "10031", "Invalid request filter", detail, f"/{name}")


def not_one_of(field: str, values: Iterable[str]) -> ApiError:
    return ApiError(422, "10032", "Invalid enumerated value", f"must be one of {', '.join(values)}", f"/{field}")


def duplicate_name(shape: str | None) -> ApiError:
    """``shape``: the map that an official app decodes for this one error (UPSTREAM 4.1), or like the others."""
    error = ApiError(422, "10012", "Duplicate resource", "unique_name has already been taken", "/unique_name")
    error.key, error.shape = "unique_name_not_unique_for_user_id", shape
    return error


def bad_page() -> ApiError:
    detail = (
        "The provided 'page' parameter is invalid. "
        "It must be an object with 'size' and/or 'number' with numeric values."
    )
    return ApiError(422, "10015", "Invalid pagination", detail, "page/size")


def too_many() -> ApiError:
    return ApiError(429, "10011", "Too many requests", "You have exceeded the maximum number of allowed requests.")


def nothing_runs() -> ApiError:
    """The live API's answer to acting on a session that is over (UPSTREAM 6)."""
    return ApiError(422, "10027", "Unprocessable entity", "No private_ip for room")
