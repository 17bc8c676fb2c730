"""What the documents show, done beside ``make run`` in the order of each page: calls, and commands in a shell. Each
answer is as printed there, times, ids and secrets aside.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from tests.cli.test_dev import Dev
from tests.console.browser import NoBrowser, started
from tests.edge.manifests import HELM
from tests.processes import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.early]


# Pages whose blocks are run, in this order, on one ``make run``.
PAGES = ("README.md", "docs/reference/calls.md", "docs/reference/http.md", "docs/how-to/replace-a-token-route.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(GET|POST|PUT|DELETE) +(/\S+)(.*)", re.DOTALL)
# What is another one each time, and must be of the same kind: moments, ids, and secrets that are cut short.
OTHERS = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:]+Z|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,32}|guest:\S+|.*\.\.\..*", re.DOTALL
)
LIVES = {"expires_in", "refresh_after", "retry_after"}
# What a script finds around it, and an SDK for which each token is due at once: the second ends the script well.
NAMES = "{service, alias, bearer}"
STAND_IN = """
const wait = setTimeout;
process.exitCode = 1;
globalThis.setTimeout = (task, ms) => wait(task, ms > 100000 ? 0 : ms);
const initialize = async ({context}) => ({updateClientToken: () => process.exit(context ? 0 : 1)});
"""
DAY_OPENS, DAY_CLOSES = "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"


def blocks(page: str) -> list[tuple[str, str]]:
    """The blocks of a page, each with its language."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


class Reader:
    """Somebody who pastes what a page shows: what was printed stands for what came instead."""

    def __init__(self, dev: Dev) -> None:
        self.dev = dev
        self.variables: list[str] = []
        self.url = f"http://127.0.0.1:{dev.ports['PORT']}"
        self.sandbox = f"http://127.0.0.1:{dev.ports['SANDBOX_PORT']}/sandbox"
        tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        later = tomorrow + timedelta(hours=1)
        self.instead = {DAY_OPENS: f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}", DAY_CLOSES: f"{later:%Y-%m-%dT%H:%M:%SZ}"}

    def bearer(self, user: str) -> str:
        asked: dict[str, Any] = {"headers": {"Accept": "text/plain"}, "data": json.dumps({"user": user}), "timeout": 10}
        return requests.post(f"{self.sandbox}/idp/token", **asked).text

    def do(self, language: str, text: str) -> tuple[bool, str] | None:
        """What a block says: whether it went well, and what came of it. ``None`` where there is nothing to do."""
        if language == "python":
            (self.dev.log.parent / "bearer.py").write_text(text, "utf-8")
        if language == "js" and shutil.which("node"):
            around = json.dumps({"service": self.url, "alias": "standup", "bearer": self.bearer("alice")})
            script = f"const {NAMES} = {around};{STAND_IN}{text}"
            return self.paste(f"node --input-type=module --eval {shlex.quote(script)}")
        if language == "sh" or text.startswith("curl "):
            return self.paste(text)
        calls = [call for call in re.split(r"\n\n(?=[A-Z]+ /)", text) if language == "" and CALL.match(call)]
        for call in calls:
            if "/actions/kick" in call:
                self.join("bob")
            answer = self.ask(call, None if "redeem" in call else "ada" if "/admin/" in call else "alice")
        return (answer.ok, answer.text) if calls else None

    def paste(self, text: str) -> tuple[bool, str]:
        """Into a shell in the folder in which ``make run`` was begun, which keeps its variables."""
        text = self.moved(text)
        shell = ["bash", "-euc", "\n".join([*self.variables, text])]
        self.variables += re.findall(r"(?m)^\w+=.*$", text)
        done = subprocess.run(
            shell,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=self.dev.log.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    def moved(self, text: str) -> str:
        """With the ports of here."""
        for usual, variable in (("8080", "PORT"), ("8081", "SANDBOX_PORT")):
            text = text.replace(f"http://127.0.0.1:{usual}", f"http://127.0.0.1:{self.dev.ports[variable]}")
        return text

    def ask(self, call: str, user: str | None) -> requests.Response:
        """What a block says, by a user."""
        # A code holds the id of its invite: the longest first.
        for printed in sorted(self.instead, key=len, reverse=True):
            call = call.replace(printed, self.instead[printed])
        found = CALL.fullmatch(call.strip())
        assert found is not None, call
        method, path, body = found.groups()
        headers = {} if user is None else {"Authorization": f"Bearer {self.bearer(user)}"}
        sent = json.loads(body) if body.strip() else None
        return requests.request(method, self.url + path, json=sent, headers=headers, timeout=10)

    def compare(self, printed: Any, real: Any, where: str = "") -> None:
        """The same, but for what is another one each time."""
        assert type(printed) is type(real), where
        if isinstance(printed, dict):
            assert list(printed) == list(real), where
            for name in printed:
                self.compare(printed[name], real[name], f"{where}/{name}")
        elif isinstance(printed, list):
            assert len(printed) == len(real), where
            for number, (one, other) in enumerate(zip(printed, real, strict=True)):
                self.compare(one, other, f"{where}/{number}")
        elif where.rpartition("/")[2] in LIVES:
            assert abs(printed - real) <= max(60, printed / 5), where
        elif isinstance(printed, str) and OTHERS.fullmatch(printed):
            self.instead.setdefault(printed, real)
        else:
            assert printed == real, where

    def preflights(self) -> float:
        """How many the service has answered."""
        metrics = requests.get(f"http://127.0.0.1:{self.dev.ports['METRICS_PORT']}/metrics", timeout=10).text
        return sum(map(float, re.findall(r'(?m)^vts_http_request_seconds_count{method="OPTIONS".*} (.+)$', metrics)))

    def join(self, user: str) -> str:
        """A participant of the standup; its id."""
        given = self.ask("POST /v1/rooms/standup/token", user).json()
        joined = {"token": given["token"], "context": given["context"]}
        return str(requests.post(f"{self.sandbox}/participants", json=joined, timeout=10).json()["id"])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds of a clone what the documents use."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "clients").symlink_to(ROOT / "clients")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="module")
def app(clone: Path) -> Iterator[ThreadingHTTPServer]:
    """The reader's folder ``app``, served."""
    handler = functools.partial(Quiet, directory=str(clone / "app"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Files, and no word about it."""

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def dev(clone: Path, app: ThreadingHTTPServer) -> Iterator[Dev]:
    made = Dev(clone, ALLOWED_ORIGINS=f"http://127.0.0.1:{app.server_port}").started()
    yield made
    made.process.terminate()
    made.process.wait(30)


def follow(reader: Reader, shown: list[tuple[str, str]]) -> None:
    """From the first block to the last. What is not answered by the next block goes well."""
    asked = 0
    for (language, text), (next_language, answer) in itertools.pairwise([*shown, ("", "")]):
        done = reader.do(language, text)
        if done is None:
            continue
        asked += 1
        if next_language == "json":
            reader.compare(json.loads(answer), json.loads(done[1]), text)
        elif next_language == "text":
            assert done[1] == answer, text
        else:
            assert done[0], f"{text}{done[1]}"
    assert asked > 0


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_happens(page: str, dev: Dev) -> None:
    """Each call and command, and each answer."""
    follow(Reader(dev), blocks(page))


def test_the_tutorial_is_a_call(dev: Dev, app: ThreadingHTTPServer) -> None:
    """Its page, opened in a browser, says what the tutorial promises, and so do the commands."""
    reader, shown = Reader(dev), blocks("docs/tutorial.md")
    (written,) = [number for number, (language, _) in enumerate(shown) if language == "html"]
    prose = BLOCK.sub("", (ROOT / "docs/tutorial.md").read_text("utf-8"))
    preflights = reader.preflights()
    joined, renewed, removed = re.findall(r"`((?:Bob|a new token|out:)[^`]+)`", prose)
    try:
        with started() as chromium:
            follow(reader, shown[:written])
            (dev.log.parent / "app" / "index.html").write_text(reader.moved(shown[written][1]), "utf-8")
            page = chromium.new_page()
            page.goto(f"http://127.0.0.1:{app.server_port}")
            page.get_by_role("button", name="Join").click()
            said = page.get_by_role("listitem")
            expect(said.first).to_have_text(joined, timeout=20_000)
            expect(said.nth(1)).to_have_text(re.compile(re.sub(r"\d+", r"\\d+", renewed)), timeout=30_000)
            # The browser goes by what it was told of the first one.
            assert reader.preflights() == preflights + 1
            follow(reader, shown[written:])
            expect(said.last).to_have_text(removed, timeout=30_000)
    except NoBrowser as why:
        pytest.skip(str(why))


def test_the_api_of_telnyx(dev: Dev) -> None:
    """A moderator mutes, a participant may not look, each with the status and the body that are printed."""
    reader = Reader(dev)
    bob = reader.join("bob")
    room = reader.ask("POST /v1/rooms/standup/token", "alice").json()["room"]["id"]
    (session,) = reader.ask(f"GET /v2/room_sessions?filter[room_id]={room}&filter[active]=true", "alice").json()["data"]
    (text,) = [text for language, text in blocks("docs/reference/gateway.md") if language == ""]
    muting, looking = text.strip().splitlines()
    call, status, printed = re.fullmatch(r"(.*?)\s{2,}(\d{3}) (.*)", muting).groups()  # type: ignore[union-attr]
    answer = reader.ask(call.replace("{id}", session["id"]).replace('"..."', f'"{bob}"'), "alice")

    assert (answer.status_code, answer.json()) == (int(status), json.loads(printed))
    status, printed = re.fullmatch(r"GET .*?\s{2,}(\d{3}) (.*)", looking).groups()  # type: ignore[union-attr]
    answer = reader.ask(f"GET /v2/rooms/{room}", "bob")
    error = answer.json()["errors"][0]
    (events,) = [text for language, text in blocks("docs/how-to/webhooks.md") if language == ""]
    for call in events.strip().splitlines():
        found = reader.ask(call.replace("/rooms/{id}", f"/rooms/{room}").replace("{id}", session["id"]), "alice").json()
    assert [one["context"].startswith('{"id":"bob"') for one in found["data"] if one["id"] == bob] == [True]
    assert answer.status_code == int(status)
    assert f'"code": "{error["code"]}", "title": "{error["title"]}"' in printed


def test_the_waiting_room(dev: Dev) -> None:
    """A moderator sees a guest who waits, admits her, and refuses whoever else is there; so do the commands."""
    reader, room = Reader(dev), "waiting-for-ada"
    follow(reader, [block for block in blocks("docs/how-to/waiting-room.md") if block[0]])
    (text,) = [text for language, text in blocks("docs/how-to/waiting-room.md") if language == ""]
    spec = json.dumps({"waiting_room": "guests", "access": [{"authenticated": True, "role": "moderator"}]})
    reader.ask(f"PUT /v1/admin/rooms/{room} {spec}", "ada")
    code = reader.ask(f'POST /v1/rooms/{room}/invites {{"role": "participant"}}', "alice").json()["code"]
    guest = reader.ask(f'POST /v1/invites/redeem {{"code": "{code}", "display_name": "Grace"}}', None).json()["token"]
    asked: dict[str, Any] = {"headers": {"Authorization": f"Bearer {guest}"}, "timeout": 10}
    waits = requests.post(f"{reader.url}/v1/rooms/{room}/token", **asked).json()
    assert (waits["code"], waits["retry_after"] > 0) == ("waiting_for_admission", True)
    for shown in text.replace("{room}", room).split("\n\n"):
        call, _, printed = shown.partition("\n     200 ")
        answer = reader.ask(call, "alice")
        assert answer.status_code == 200, answer.text
        if printed:
            reader.compare(json.loads(printed), answer.json(), call)
    assert requests.post(f"{reader.url}/v1/rooms/{room}/token", **asked).ok


@pytest.mark.long
def test_an_identity_provider_beside_make_run(dev: Dev) -> None:
    """The settings of the guide lead to a provider on this machine, and to the rooms of the demo."""
    reader, page = Reader(dev), "docs/identity-providers/README.md"
    (text,) = [text for _, text in blocks(page) if "AUTH_NAME=mine" in text]
    issuer = f"{reader.sandbox}/idp"
    moved = text.replace("https://login.example.com/jwks.json", f"{issuer}/jwks").replace(
        "https://login.example.com", issuer
    )
    well, said = reader.paste(moved.replace("PORT=8180", "exit 0;"))

    assert well, said
    assert "AUTH_JWKS_URL: issuer mine: 1 key(s)" in said


def test_the_addresses_that_the_documents_name(dev: Dev) -> None:
    """The console, the documentation, and what operators ask."""
    for path in ("/console/", "/docs", "/openapi.yaml", "/healthz", "/readyz", "/version", "/.well-known/jwks.json"):
        assert requests.get(f"http://127.0.0.1:{dev.ports['PORT']}{path}", timeout=10).ok, path


# In place of what needs an engine or a cluster: what is to run in compose's container runs here, and what would be made
# in a cluster is rendered. Anything else fails.
STAND_INS = {
    "docker": """
case "$*" in
  *" exec service "* | *" exec -T service "*) while [ "$1" != service ]; do shift; done; shift; exec "$@" ;;
  "compose -f deploy/compose.yaml "*) test -f deploy/compose.yaml ;;
  "volume rm "*) ;;
  *) exit 1 ;;
esac""",
    "kubectl": """
case "$*" in
  "kustomize "*) exec $KUBECTL "$@" ;;
  "apply -k "*) exec $KUBECTL kustomize "$3" ;;
  *"create "*) exec $KUBECTL "$@" --dry-run=client --output=yaml ;;
  *" exec "*"deployment/video-token-service -- python -m service "*) ;;
  *) exit 1 ;;
esac""",
    "helm": """
case "$1 $2" in
  "upgrade --install") shift 2 ;;
  "template "*) shift ;;
  *) exit 1 ;;
esac
exec $HELM template "$@" """,
}
DEPLOYMENT = ("one-machine", "rotation", "kubernetes", "backup")


@pytest.fixture(scope="module")
def machine(dev: Dev, clone: Path) -> Reader:
    """An operator in a clone, on a machine where ``docker``, ``kubectl`` and ``helm`` are ``STAND_INS``."""
    shutil.copytree(ROOT / "deploy", clone / "deploy", ignore=shutil.ignore_patterns("secrets", "files", ".env"))
    (clone / "telnyx-api-key.txt").write_text("KEY-of-no-account\n", "utf-8")
    for file in ("rooms.toml", "snapshot.rdb"):
        (clone / file).touch()
    (clone / "bin").mkdir()
    for name, script in STAND_INS.items():
        (clone / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        (clone / "bin" / name).chmod(0o755)
    reader = Reader(dev)
    reader.variables = [
        f"KUBECTL={shutil.which('kubectl')} HELM={HELM} TOKEN={reader.bearer('bob')}",
        f"export KUBECTL HELM PATH={clone}/bin:{Path(sys.executable).parent}:$PATH; . .run/env",
    ]
    return reader


# The last of all: it changes a room.
@pytest.mark.rows(2)
@pytest.mark.parametrize("page", DEPLOYMENT)
def test_the_commands_of_a_deployment(page: str, machine: Reader) -> None:
    """In the order of the page, up to what installs packages on the machine itself; the first token is one."""
    if page == "kubernetes" and not (HELM and shutil.which("kubectl")):
        pytest.skip("kubectl and helm are needed")
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8").partition("\n## Without Docker")[0]
    done = ""
    for _, language, block in INDENTED.findall(text):
        commands = textwrap.dedent(block).replace("https://video-tokens.example.com/", f"{machine.url}/")
        if language == "yaml":
            (machine.dev.log.parent / "mine.yaml").write_text(block, "utf-8")
            continue
        well, done = machine.paste(commands)
        assert well, commands + done
    if page == "one-machine":
        assert "telnyx_client_token" in done
    if page == "kubernetes":
        assert "kind: Deployment" in done
