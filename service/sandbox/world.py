"""A simulated Telnyx account with the rules of each kind of object. It knows no HTTP.

Rules take the account's lock, read its clock, and raise ``ApiError`` where the API would answer with an error.
"""

from pathlib import Path

from service.sandbox.account import Account
from service.sandbox.client_tokens import ClientTokens
from service.sandbox.compositions import Compositions
from service.sandbox.downloads import Downloads
from service.sandbox.recordings import Recordings
from service.sandbox.rooms import Rooms
from service.sandbox.sessions import Sessions
from service.sandbox.tokens import TokenSigner


class World:
    """One account and its rules. ``state`` is the file that keeps its rooms."""

    def __init__(self, account: Account, signer: TokenSigner, state: Path | None) -> None:
        self.account = account
        self.downloads = Downloads(account)
        self.client_tokens = ClientTokens(account, signer)
        self.recordings = Recordings(account, self.downloads)
        self.compositions = Compositions(account, self.downloads, signer.user_id)
        self.sessions = Sessions(account, self.client_tokens, self.recordings)
        self.rooms = Rooms(account, self.sessions, state)

    def reset(self) -> None:
        """Make it a newly opened account."""
        with self.account.lock:
            self.account.clear()
            self.client_tokens.clear()
            self.rooms.clear()

    def tick(self) -> None:
        """What time alone brings about."""
        self.sessions.tick()
        self.recordings.tick()
        self.compositions.tick()
