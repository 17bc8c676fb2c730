"""How a command says that it cannot go on: by an exception, of which the command line makes text and exit code."""

import sys
from collections.abc import Callable
from typing import Final

from service.config.settings import SettingsError
from service.errors import ServiceError

TROUBLE_EXIT: Final = 1
CONFIGURATION_EXIT: Final = 2
_AGAIN: Final = "It is safe to run this again."


class Failed(Exception):
    """Why a command ends, and what to do, for whoever started it."""

    def __init__(self, text: str, code: int = TROUBLE_EXIT) -> None:
        super().__init__(text)
        self.code = code


def exit_code(run: Callable[[], int], most: int = CONFIGURATION_EXIT) -> int:
    """What a command answers; if it cannot go on it says why on standard error, and the code is ``most`` at most."""
    try:
        return run()
    except SystemExit as end:
        code = int(end.code or 0)
    except SettingsError as error:
        told = [f"  {fault.variable} {fault.message}" for fault in error.faults]
        code = _say("The settings are not complete:", *told, code=CONFIGURATION_EXIT)
    except Failed as why:
        code = _say(str(why), code=why.code)
    except ServiceError as error:
        code = _say(f"Stopped: {error.detail} ({error.code}). {_AGAIN}")
    except KeyboardInterrupt:
        code = _say(f"Stopped. {_AGAIN}")
    return min(code, most)


def _say(*lines: str, code: int = TROUBLE_EXIT) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return code
