"""Download URLs of recordings and compositions: signed, and valid for an hour as the real ones (docs/telnyx.md 6)."""

import secrets

from itsdangerous import Signer

from service.sandbox.account import Account
from service.sandbox.resources import Resource


class Downloads:
    """Makes and checks the URLs. ``address`` is where the sandbox listens."""

    def __init__(self, account: Account) -> None:
        self.address = ""
        self._account = account
        self._signer = Signer(secrets.token_bytes(16))

    def url(self, ident: str) -> str:
        expires = int(self._account.clock.now() + self._account.switches["download_url_secs"])
        signature = self._signer.get_signature(f"{ident}|{expires}").decode()
        return f"{self.address}/sandbox/media/{ident}?expires={expires}&signature={signature}"

    def is_valid(self, ident: str, expires: str, signature: str) -> bool:
        if not self._signer.verify_signature(f"{ident}|{expires}", signature.encode()):
            return False
        return int(expires) > self._account.clock.now()

    def shown(self, resource: Resource) -> Resource:
        """A recording or composition as answers have it: with a fresh URL, if it is completed."""
        if resource["status"] == "completed" and resource["download_url"] is None:
            resource = {**resource, "download_url": self.url(resource["id"])}
        return self._account.shown(resource)
