"""The only package that speaks to Telnyx: the 25 operations, time limits, retries, breakers, sorting of errors.

Read ``operations`` first, the table of them, then ``client``, which makes the calls, so many at a time, and reads lists
to their end. ``responses`` sorts what comes back, ``breaker`` leaves a failing upstream alone.

What goes wrong leaves this package as an exception of ``service.errors``.
"""

from service.telnyx.client import Telnyx
from service.telnyx.responses import NOTHING_RUNS, Answer

__all__ = ["NOTHING_RUNS", "Answer", "Telnyx"]
