"""A pretend Telnyx account, put together: its tables, and the rules of each kind of object. No HTTP.

Rules take the account's lock, read its clock, and raise ``ApiError`` where the API would answer one.
"""

from __future__ import annotations

from pathlib import Path

from service.sandbox.account import Account
from service.sandbox.compositions import Compositions
from service.sandbox.grants import Grants
from service.sandbox.recordings import Links, Recordings
from service.sandbox.rooms import Rooms
from service.sandbox.sessions import Sessions
from service.sandbox.tokens import TokenSigner


class World:
    """One account and its rules."""

    def __init__(self, account: Account, signer: TokenSigner, state: Path | None = None) -> None:
        self.account = account
        self.links = Links(account)
        self.grants = Grants(account, signer)
        self.recordings = Recordings(account, self.links)
        self.compositions = Compositions(account, self.links, signer.user_id)
        self.sessions = Sessions(account, self.grants, self.recordings)
        self.rooms = Rooms(account, self.sessions, state)

    def reset(self) -> None:
        """An account just opened."""
        with self.account.lock:
            self.account.clear()
            self.grants.clear()
            self.rooms.clear()

    def tick(self) -> None:
        """What time alone brings about."""
        self.sessions.tick()
        self.recordings.tick()
        self.compositions.tick()
