"""How a command says that it cannot go on: by an exception, of which ``service.__main__`` makes text and exit code."""

from typing import Final

TROUBLE_EXIT: Final = 1
CONFIGURATION_EXIT: Final = 2


class Failed(Exception):
    """Why a command ends, and what to do, for whoever started it."""

    def __init__(self, text: str, code: int = TROUBLE_EXIT) -> None:
        super().__init__(text)
        self.code = code
