"""The web server's own log lines without what callers sent.

Gunicorn writes the bytes that it could not read, and the whole target of a request that failed, into its messages.

Rule for editors: what a worker says while it handles an exception of a connection is replaced, whatever its wording is,
so that a line which a later release adds is not let through.
"""

import logging
import sys
from pathlib import PurePath
from typing import Final

# Where gunicorn handles connections; the lines of its arbiter and its configuration hold nothing of callers.
_OF_CONNECTIONS: Final = "workers"


class WithoutCallersBytes(logging.Filter):
    """Tells of a request that could not be read, or failed, no more than the class of the exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message in place; every record is kept."""
        error = sys.exception()
        if error is not None and _is_of_a_connection(error):
            record.msg = "request failed" if record.levelno >= logging.ERROR else "request refused"
            record.args = ()
            record.kind = type(error).__name__
        return True


def _is_of_a_connection(error: BaseException) -> bool:
    """Whether a worker caught it: the outermost frame of a caught exception is the one that caught it."""
    caught_in = error.__traceback__
    return caught_in is not None and PurePath(caught_in.tb_frame.f_code.co_filename).parent.name == _OF_CONNECTIONS
