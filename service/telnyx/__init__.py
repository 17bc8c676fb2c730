"""The only package that speaks to Telnyx: the 25 operations, time limits, retries, breakers, sorting of errors.

``client`` makes calls, ``operations`` is the table of them, ``responses`` sorts what comes back, ``load`` bounds how
many go at the same time, ``breaker`` leaves a failing upstream alone.
"""

from service.telnyx.client import Telnyx
from service.telnyx.responses import Answer

__all__ = ["Answer", "Telnyx"]
