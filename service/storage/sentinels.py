"""Which server is the master, by a majority of the Sentinels.

Rules for editors:
* the side of a partition that has few Sentinels must not follow the old master: a majority of all that are configured
  has to answer, and a master of an epoch lower than one seen before is never followed;
* all of them are asked at the same time, so that silent ones cost the time of one;
* asking takes time: only a background task of ``availability`` does it, never a caller's request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gevent
import redis

from service.clock import time_limit
from service.storage.redis_url import Address


class ServerUnknown(Exception):
    """Nobody can say which server it is; the text says why, without secrets. ``passing``: perhaps in a moment."""

    def __init__(self, why: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class MasterReport:
    """What one Sentinel says: the address, the epoch in which it became master, and how many replicas it has."""

    epoch: int
    address: Address
    replicas: int


_Answer = MasterReport | Exception


def find_master(
    sentinels: Sequence[Sequence[redis.Redis]], master: str, seconds: float, latest: MasterReport | None
) -> MasterReport:
    """The report to follow; raises ``ServerUnknown``. ``latest`` is the one that was followed until now.

    Each Sentinel is reached by the first of its clients whose login it accepts, each tried for so long at most.
    """
    asked = [gevent.spawn(_ask, clients, master, seconds) for clients in sentinels]
    gevent.joinall(asked)
    answers: list[_Answer] = [task.get() for task in asked]
    reports = [answer for answer in answers if isinstance(answer, MasterReport)]
    if len(reports) * 2 <= len(answers):
        raise ServerUnknown(_why(answers, master, len(reports)))
    newest = max(reports, key=lambda report: report.epoch)
    if latest is None or newest.epoch >= latest.epoch:
        return newest
    if newest.address != latest.address:
        raise ServerUnknown("the Sentinels name a master of an earlier epoch; restart if they were made anew")
    # Sentinels that were made anew count from the beginning. All of them have to say so.
    return newest if len(reports) == len(answers) else latest


def _ask(clients: Sequence[redis.Redis], master: str, seconds: float) -> _Answer:
    refusal: Exception = ServerUnknown("not asked")
    for client in clients:
        try:
            with time_limit(seconds):
                return _report(client, master)
        except redis.AuthenticationError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - whatever one of them says, the others are heard
            return error
    return refusal


def _report(client: redis.Redis, master: str) -> MasterReport:
    state: Any = client.execute_command("SENTINEL MASTER", master)  # type: ignore[no-untyped-call]
    # The address in the state is the old one until all replicas have moved; this is the new one at once.
    host, port = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", master)  # type: ignore[no-untyped-call]
    name = host.decode() if isinstance(host, bytes) else str(host)
    return MasterReport(int(state["config-epoch"]), (name, int(port)), int(state["num-slaves"]))


def _why(answers: Sequence[_Answer], master: str, reports: int) -> str:
    for answer in answers:
        if isinstance(answer, redis.AuthenticationError):
            return "AuthenticationError"
        if isinstance(answer, redis.ResponseError):
            return f"no Sentinel knows a master named {master}, or they refuse to say"
    return "no majority of the Sentinels answers" if reports else "no Sentinel answers"
