"""``mint``: a development user token that the service takes, signed with the shared secret of a local issuer.

Beside ``make run``, whose issuer has none, the sandbox signs it.
"""

import json
import os
import sys
import time
from argparse import Namespace
from typing import Any, Final

from service.cli import check
from service.cli.failed import CONFIGURATION_EXIT, Failed
from service.config.settings import Settings
from service.http_client import Transport, TransportError
from service.identity.issuers import IssuerConfig
from service.identity.verifier import mint
from service.rooms.aliases import is_alias
from service.rooms.models import ROLES

_SANDBOX_SECS: Final = 5.0


def run(asked: Namespace) -> int:
    """Print one token; answers the exit code."""
    settings = Settings.from_env(os.environ)
    issuer, token = _token(settings, asked)
    *_, verdict = check.of_bearer(settings, token, [issuer])
    if verdict.level == "fault":
        raise _not_minted(f"The service would not take this token: {verdict.message}")
    wanted = {"admin": settings.admin_scope in asked.scope, "rooms": bool(asked.room), "claims": bool(asked.group)}
    if missing := [name for name, given in wanted.items() if given and name not in issuer.trust]:
        untrusted = f"Issuer {issuer.name} is not trusted with {', '.join(missing)}"
        print(f"{untrusted}: what the token says of it counts for nothing until AUTH_TRUST names it.", file=sys.stderr)
    print(token)
    return 0


def _not_minted(why: str) -> Failed:
    return Failed(why, CONFIGURATION_EXIT)


def _token(settings: Settings, asked: Namespace) -> tuple[IssuerConfig, str]:
    """A signed token, and whose it is. Raises ``Failed``."""
    for issuer in settings.issuers:
        if issuer.hs256_secrets:
            now = int(time.time())
            registered = {
                "iss": issuer.issuer,
                issuer.audience_claim: issuer.audiences[0],
                issuer.user_claim: asked.user,
                "iat": now,
                "exp": now + asked.ttl,
            }
            return issuer, mint(issuer, {**registered, **_chosen(issuer, asked)})
    if settings.console_sandbox is None:
        raise _not_minted("No issuer has a shared secret: set AUTH_HS256_SECRET to mint tokens for development.")
    return settings.issuers[0], _signed_by_sandbox(settings.console_sandbox, settings.issuers[0], asked)


def _chosen(issuer: IssuerConfig, asked: Namespace) -> dict[str, Any]:
    chosen = {
        issuer.name_claim: asked.name,
        issuer.scope_claim: " ".join(asked.scope),
        issuer.groups_claim: asked.group,
        "rooms": dict(_pair(text) for text in asked.room),
    }
    return {name: value for name, value in chosen.items() if value}


def _pair(text: str) -> tuple[str, str]:
    alias, _, role = text.partition("=")
    if not is_alias(alias) or role not in ROLES:
        raise _not_minted(f"--room takes alias=participant or alias=moderator, not {text}")
    return alias, role


def _signed_by_sandbox(url: str, issuer: IssuerConfig, asked: Namespace) -> str:
    body = json.dumps({"user": asked.user, "ttl": asked.ttl, "claims": _chosen(issuer, asked)})
    headers = {"Accept": "text/plain", "Content-Type": "application/json"}
    try:
        reply = Transport(1).send(
            "POST", f"{url}/sandbox/idp/token", headers=headers, seconds=_SANDBOX_SECS, body=body.encode()
        )
    except TransportError:
        raise _not_minted(f"No issuer has a shared secret, and the sandbox at {url} does not answer.") from None
    if reply.status != 200:  # noqa: PLR2004 - OK
        raise _not_minted(f"The sandbox at {url} refuses: {reply.body.decode('utf-8', 'replace')}")
    return reply.body.decode().strip()
