"""Redis away, slow, dripping or refusing: who was in goes on, strangers are told when to come, nobody waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest
import redis

from service.storage.redis_keys import Owner
from tests.faults.conftest import Tell
from tests.faults.proxy import Proxy
from tests.faults.stage import Answer, Rig, Stage, timed
from tests.faults.table import GENERATE, TOKENS
from tests.processes import Caller, ServiceProcess, Valkey, admin, fresh, running, until

# An outage is one after 1.5 s; the rest is slack for a busy machine.
FIRST_CALL_SECS = 3.0
# A reply that is late, and well before the 250 ms after which a silence begins.
LATE_MS = 130
# By who asks; in this order.
AWAY = {
    "holder": (200, "cache"),
    "renewer": (200, "refreshed"),
    "new device": (200, "issued"),
    "stranger": (503, "store_unavailable"),
    "administrator": (503, "store_unavailable"),
}
READS_ONLY = {**AWAY, "stranger": (200, "issued")}
NOT_NOTICED = {**READS_ONLY, "administrator": (201, "")}
# A token of 600 s is to be renewed below half of 599 s: this is a moment before that.
ALMOST_ADVISORY_SECS, MOMENT_SECS = 299.9, 0.9

Hurt = Callable[["Bed"], object]


@dataclass
class Bed:
    """A service that talks to its store through the proxy."""

    valkey: Valkey
    proxy: Proxy
    rig: Rig

    def stop(self) -> None:
        self.rig.stop()
        self.proxy.stop()
        self.valkey.stop()

    @property
    def up(self) -> bool:
        return self.rig.ready()["redis"] == "up"


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    valkey = Valkey()
    proxy = Proxy(valkey.url.removeprefix("unix://"))
    yield from running(Bed(valkey, proxy, Rig(None, valkey, REDIS_URL=f"redis://127.0.0.1:{proxy.port}")))


@dataclass(frozen=True)
class Row:
    """How Redis is hurt and mended again, and what that comes to."""

    name: str
    outcome: Mapping[str, tuple[int, str]]
    hurt: Hurt
    mend: Hurt = lambda bed: bed.proxy.clear()


def toxic(name: str, **attributes: object) -> Hurt:
    return lambda bed: bed.proxy.add(name, **attributes)


def config(**values: str) -> Hurt:
    def change(bed: Bed) -> None:
        for name, value in values.items():
            bed.valkey.client.config_set(name.replace("_", "-"), value)

    return change


def replica(bed: Bed) -> None:
    """Of a master that is not there."""
    bed.valkey.client.execute_command("REPLICAOF", "127.0.0.1", "9")


def master(bed: Bed) -> None:
    bed.valkey.client.config_set("replica-serve-stale-data", "yes")
    bed.valkey.client.execute_command("REPLICAOF", "NO", "ONE")


def mute_replica(bed: Bed) -> None:
    config(replica_serve_stale_data="no")(bed)
    replica(bed)


def ask_for_password(bed: Bed) -> None:
    config(requirepass="something")(bed)
    bed.proxy.cut()


def forget_password(bed: Bed) -> None:
    client = redis.Redis.from_url(bed.valkey.url, password="something")
    client.config_set("requirepass", "")
    client.close()


def run_for_ever(bed: Bed) -> None:
    """A script of somebody else's that does not end."""
    config(busy_reply_threshold="50")(bed)

    def script() -> None:
        with redis.Redis.from_url(bed.valkey.url) as client, suppress(redis.RedisError):
            client.eval("while true do end", 0)

    threading.Thread(target=script, daemon=True).start()

    def busy() -> bool:
        try:
            bed.valkey.client.ping()
        except redis.ResponseError:
            return True
        return False

    until(busy, 5, "a busy server")


def fill_disk(bed: Bed) -> None:
    """As far as a snapshot can tell: its file's name is taken by a folder."""
    (bed.valkey.folder / "dump.rdb").unlink(missing_ok=True)
    (bed.valkey.folder / "dump.rdb").mkdir()
    config(save="3600 1")(bed)
    bed.valkey.client.bgsave()
    until(lambda: bed.valkey.client.info("persistence")["rdb_last_bgsave_status"] != "ok", 5, "a failed snapshot")


def fill_disk_and_cut(bed: Bed) -> None:
    fill_disk(bed)
    bed.proxy.cut()


def free_disk(bed: Bed) -> None:
    (bed.valkey.folder / "dump.rdb").rmdir()
    bed.valkey.client.bgsave()
    until(lambda: bed.valkey.client.info("persistence")["rdb_last_bgsave_status"] == "ok", 5, "a good snapshot")
    config(save="")(bed)


def kill_connections(bed: Bed) -> None:
    bed.valkey.client.client_kill_filter(_type="normal", skipme=True)


def nothing(_: Bed) -> None:
    """It mends itself."""


REFUSALS = {
    "LOADING": "LOADING server is loading the dataset in memory",
    "CLUSTERDOWN": "CLUSTERDOWN the cluster is down",
    "TRYAGAIN": "TRYAGAIN multiple keys request during rehashing of slot",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM this user has no permissions to run the command",
    "too many clients": "ERR max number of clients reached",
    "READONLY to all": "READONLY You can't write against a read only replica.",
    "MISCONF to all": "MISCONF errors writing to disk",
}
ROWS = (
    Row("F02 killed", AWAY, lambda bed: bed.valkey.kill(), lambda bed: bed.valkey.restart()),
    Row("F02 reset", AWAY, toxic("reset_peer")),
    Row("F03 frozen", AWAY, lambda bed: bed.valkey.freeze(), lambda bed: bed.valkey.thaw()),
    Row("F03 5 s late", AWAY, toxic("latency", latency=5000)),
    Row("F03 black hole", AWAY, toxic("timeout")),
    Row("F04 a byte each 400 ms", AWAY, toxic("slicer", average_size=1, delay=400)),
    Row("F04 a byte each 100 ms", AWAY, toxic("slicer", average_size=1, delay=100)),
    Row("F04 truncated", AWAY, toxic("limit_data", bytes=10)),
    Row("F05 READONLY", READS_ONLY, replica, master),
    Row("F06 MASTERDOWN", AWAY, mute_replica, master),
    Row("F06 NOAUTH", AWAY, ask_for_password, forget_password),
    Row("F06 BUSY", AWAY, run_for_ever, lambda bed: bed.valkey.client.script_kill()),
    Row("F06 MISCONF", READS_ONLY, fill_disk, free_disk),
    Row("F06 MISCONF, new connections", READS_ONLY, fill_disk_and_cut, free_disk),
    *(Row(f"F06 {name}", AWAY, toxic("refusal", text=text)) for name, text in REFUSALS.items()),
    Row("F07 OOM", READS_ONLY, config(maxmemory="1"), config(maxmemory="0")),
    Row("F17 connections killed", NOT_NOTICED, kill_connections, nothing),
    Row("F17 connections reset", NOT_NOTICED, lambda bed: bed.proxy.cut(), nothing),
    Row("F06 NOSCRIPT", NOT_NOTICED, lambda bed: bed.valkey.client.script_flush(), nothing),
)


@dataclass(frozen=True)
class People:
    """Those who ask: one with a useful token, one who must renew, and somebody who was never here."""

    holder: Stage
    renewer: Stage
    stranger: Stage

    @classmethod
    def of(cls, rig: Rig) -> People:
        """As they stand ``MOMENT_SECS`` before a fault."""
        holder = rig.stage("useful")
        made = cls(holder, holder.sibling(), holder.sibling())
        assert made.renewer.ask().told == (200, "issued")
        made.renewer.shorten(ALMOST_ADVISORY_SECS)
        assert made.renewer.ask().told == (200, "cache")
        return made

    def ask(self) -> dict[str, Answer]:
        """Everybody, one after the other; the first call is a hit."""
        url, alias = self.holder.caller.url, self.holder.alias
        path = f"/v1/admin/rooms/{alias}/members/{fresh()}"
        return {
            "holder": self.holder.ask(),
            "renewer": self.renewer.ask(),
            "new device": self.holder.ask(device_id=fresh()),
            "stranger": self.stranger.ask(),
            "administrator": timed(lambda: admin(url).ask("PUT", path, json={"role": "participant"})),
        }


@pytest.fixture(scope="module")
def crowd(bed: Bed) -> dict[str, People]:
    """People for each row, so that all of them wait for their moment together."""
    made = {row.name: People.of(bed.rig) for row in ROWS}
    time.sleep(MOMENT_SECS)
    return made


@contextmanager
def hurt(bed: Bed, row: Row) -> Iterator[None]:
    """The fault for the length of the block, and a service that has recovered after it."""
    row.hurt(bed)
    try:
        yield
    finally:
        row.mend(bed)
        bed.proxy.clear()
        until(lambda: bed.up, 10, "recovery")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_of_redis_comes_to_its_outcome(bed: Bed, crowd: dict[str, People], row: Row, tell: Tell) -> None:
    """For each who asks, within the time of a first silence; Telnyx is asked for what is new and for nothing else."""
    people = crowd[row.name]
    with hurt(bed, row):
        answers = people.ask()

    for who, answer in answers.items():
        tell(row.name, who, f"{answer.status} {answer.word}", answer.secs)
    assert {who: answer.told for who, answer in answers.items()} == row.outcome
    assert max(answer.secs for answer in answers.values()) < FIRST_CALL_SECS
    assert answers["holder"].body["token"] == people.holder.first["token"]
    issued = [answer.word for answer in answers.values()].count("issued")
    assert people.holder.calls() == {"refresh": 1, "generate": issued + 1}
    for answer in answers.values():
        assert answer.status != 503 or 1 <= int(answer.headers["Retry-After"]) <= 60
    assert people.holder.ask().told == (200, "cache")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name in {"F02 killed", "F03 frozen", "F03 black hole"}], ids=lambda row: row.name
)
def test_after_an_outage_it_recovers_by_itself(bed: Bed, row: Row, tell: Tell) -> None:
    """Soon after Redis answers again, without a request's help and without a call to Telnyx."""
    holder = bed.rig.stage("useful")
    row.hurt(bed)
    holder.ask()
    until(lambda: not bed.up, 5, "an outage that is known")
    row.mend(bed)
    began = time.monotonic()
    until(lambda: bed.up, 10, "recovery")
    took = time.monotonic() - began

    tell("F16 recovery", row.name, f"{took:.2f} s")
    assert took < 5.0
    assert holder.ask().told == (200, "cache")
    assert not holder.calls()


def test_a_life_is_not_longer_for_a_reply_that_was_late(bed: Bed) -> None:
    """It counts from when Redis was asked, so nobody is promised the time that the reply took."""
    stage = bed.rig.stage("useful")
    bed.proxy.add("latency", latency=LATE_MS)
    stage.shorten(400.06)
    answer = stage.ask()
    bed.proxy.clear()

    assert answer.told == (200, "cache")
    assert answer.body["expires_in"] == 399


def test_redis_is_told_no_more_life_than_there_is(bed: Bed) -> None:
    """What a look at Redis took, just before a new token is stored, is not added to its life."""
    stage = bed.rig.stage()
    bed.proxy.add("latency", latency=LATE_MS)
    answer = stage.ask()
    bed.proxy.clear()
    left, now = bed.valkey.client.pttl(stage.keys.token(stage.entry)) / 1000, time.time()
    made = [entry["time"] for entry in bed.rig.recorded(stage.since) if entry["operation"] == GENERATE]

    assert answer.told == (200, "issued")
    # 600 s were granted, a second less is counted.
    assert left <= 599 - (now - made[0]) + LATE_MS / 2000


@pytest.mark.long
def test_a_token_made_during_an_outage_is_everybodys_after_it(bed: Bed, tell: Tell) -> None:
    """The process that has it alone hands it in when it is asked again, also while another one holds the lease and asks
    Telnyx in vain.
    """
    until(lambda: bed.up, 10, "the end of the fault before")
    stage = bed.rig.stage("useful")
    bed.proxy.add("timeout")
    new = stage.ask(device_id="phone")
    bed.proxy.clear()
    until(lambda: bed.up, 10, "recovery")
    lease = stage.keys.lease(Owner("default", stage.caller.user, "phone").entry)
    bed.valkey.client.set(lease, "somebody", px=60_000)
    again = stage.ask(device_id="phone")
    bed.rig.sandbox.fault(TOKENS, "status", status=500)
    try:
        for late in running(ServiceProcess(bed.rig.env)):
            moved = Stage(bed.rig, stage.alias, stage.room_id, Caller(late.url, stage.caller.user))
            elsewhere = moved.ask(device_id="phone")
    finally:
        bed.rig.heal(5)

    answers = (new, again, elsewhere)
    tell("F16 made meanwhile", "", ", ".join(f"{answer.status} {answer.word}" for answer in answers))
    assert [answer.told for answer in answers] == [(200, "issued"), (200, "cache"), (200, "cache")]
    assert {answer.body["token"] for answer in answers} == {new.body["token"]}


def test_while_redis_takes_no_writes_a_token_is_renewed_once(bed: Bed, tell: Tell) -> None:
    """Redis goes on answering with the token before; the process has a newer one, and Redis gets it in the end."""
    until(lambda: bed.up, 10, "the end of the fault before")
    stage = bed.rig.stage("advisory")
    with hurt(bed, next(row for row in ROWS if row.name == "F07 OOM")):
        answers = [stage.ask() for _ in range(4)]
    last = stage.ask()

    tell("F07 OOM, renewed", "", ", ".join(f"{answer.status} {answer.word}" for answer in (*answers, last)))
    assert [answer.told for answer in (*answers, last)] == [(200, "refreshed"), *[(200, "cache")] * 4]
    assert stage.calls() == {"refresh": 1}
    assert {answer.body["token"] for answer in (*answers, last)} == {last.body["token"]}
    left = bed.valkey.client.pttl(stage.keys.token(stage.entry)) / 1000
    assert left > 500


@pytest.mark.long
@pytest.mark.parametrize("name", [pytest.param("timeout", marks=pytest.mark.short), "reset_peer"])
def test_it_starts_before_redis_and_recovers(name: str, tell: Tell) -> None:
    """Health and readiness answer, callers are 503, and when Redis is there tokens are had."""
    valkey = Valkey()
    proxy = Proxy(valkey.url.removeprefix("unix://"))
    proxy.add(name)
    rig = Rig(None, valkey, REDIS_URL=f"redis://127.0.0.1:{proxy.port}")
    for each in running(Bed(valkey, proxy, rig)):
        assert rig.ready()["status"] == "ready"
        answer = timed(lambda: rig.healer.token("room"))
        proxy.clear()
        began = time.monotonic()
        until(lambda each=each: each.up, 10, "recovery")
        tell("F01 down at start", name, f"{answer.status} {answer.word}, up after {time.monotonic() - began:.2f} s")

        assert answer.told == (503, "store_unavailable")
        assert rig.stage("useful").ask().told == (200, "cache")


@pytest.mark.long
def test_it_starts_with_a_redis_that_cannot_write(bed: Bed, tell: Tell) -> None:
    """A replica that comes up while the disk is full serves who may enter, from what Redis holds."""
    stage = bed.rig.stage("useful")
    with hurt(bed, next(row for row in ROWS if row.name == "F06 MISCONF")):
        for late in running(ServiceProcess(bed.rig.env)):
            moved = Stage(bed.rig, stage.alias, stage.room_id, Caller(late.url, stage.caller.user))
            answers = [moved.ask(), moved.sibling().ask()]

    told = [answer.told for answer in answers]
    tell("F06 MISCONF at start", "", ", ".join(f"{status} {word}" for status, word in told))
    assert told == [(200, "cache"), (200, "issued")]
