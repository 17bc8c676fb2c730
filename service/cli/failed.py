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
        return min(int(end.code or 0), most)
    except SettingsError as error:
        told = [f"  {fault.variable} {fault.message}" for fault in error.faults]
        why = Failed("\n".join(["The settings are not complete:", *told]), CONFIGURATION_EXIT)
    except Failed as failed:
        why = failed
    except ServiceError as error:
        why = Failed(f"Stopped: {error.detail} ({error.code}). {_AGAIN}")
    except KeyboardInterrupt:
        why = Failed(f"Stopped. {_AGAIN}")
    print(why, file=sys.stderr)
    return min(why.code, most)
