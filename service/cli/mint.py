"""``mint``: a development user token, signed with the shared secret of a local issuer."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from service.cli import serve
from service.config.settings import Settings, SettingsError
from service.identity.issuers import IssuerConfig
from service.identity.verifier import mint


def run(asked: Namespace) -> int:
    """Print one token; answers the exit code."""
    try:
        settings = Settings.from_env(os.environ)
        rooms = dict(_pair(text) for text in asked.room)
    except SettingsError as error:
        serve.tell_faults(error)
        return serve.CONFIGURATION_EXIT
    except ValueError as error:
        print(error, file=sys.stderr)
        return serve.CONFIGURATION_EXIT
    local = [issuer for issuer in settings.issuers if issuer.hs256_secrets]
    if not local:
        print("No issuer has a shared secret: set AUTH_HS256_SECRET to mint tokens for development.", file=sys.stderr)
        return serve.CONFIGURATION_EXIT
    wanted = {"admin": settings.admin_scope in asked.scope, "rooms": bool(rooms), "claims": bool(asked.group)}
    if missing := [name for name, given in wanted.items() if given and name not in local[0].trust]:
        untrusted = (
            f"Issuer {local[0].name} is not trusted with {', '.join(missing)}: what the token says of it counts for"
        )
        print(f"{untrusted} nothing until AUTH_TRUST names it.", file=sys.stderr)
    print(mint(local[0], _claims(local[0], asked, rooms)))
    return 0


def _claims(issuer: IssuerConfig, asked: Namespace, rooms: dict[str, str]) -> dict[str, object]:
    now = int(time.time())
    optional: dict[str, object] = {
        issuer.name_claim: asked.name,
        issuer.scope_claim: _joined(asked.scope),
        issuer.groups_claim: asked.group,
        "rooms": rooms,
    }
    return {
        "iss": issuer.issuer,
        issuer.audience_claim: issuer.audiences[0],
        issuer.user_claim: asked.user,
        "iat": now,
        "exp": now + asked.ttl,
        **{name: value for name, value in optional.items() if value},
    }


def _joined(scopes: Sequence[str]) -> str:
    return " ".join(scopes)


def _pair(text: str) -> tuple[str, str]:
    alias, separator, role = text.partition("=")
    if not separator or role not in {"participant", "moderator"}:
        raise ValueError(f"--room takes alias=participant or alias=moderator, not {text}")
    return alias, role
