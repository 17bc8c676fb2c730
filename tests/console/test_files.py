"""The files of the pages, without a browser: where they are, what they may load, and what is in them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.web import pages
from service.web.services import EXTENSION
from tests.observability.known import CODES
from tests.processes import ROOT
from tests.web.doubles import make_face

FOLDER = ROOT / "service" / "console"
FILES = {file.name: file for file in FOLDER.rglob("*") if file.parent.name != "vendor" and file.is_file()}
OURS = sorted(set(FILES) - {"sdk.js"})
SCRIPTS = [name for name in OURS if name.endswith(".js")]
# dist/qrcode.mjs of the npm package qrcode-generator 2.0.4.
PACKAGED = "ea91d7118a5395289170da848b7c6758b996163bfbccf312591ab65a4911b7c0"


def client_of(folder: Path, given: str | None) -> FlaskClient:
    app = make_face(folder / "draining").app
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], console=given)
    return app.test_client()


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    """Of a service whose console is on, without a sandbox."""
    return client_of(tmp_path, "")


@pytest.mark.parametrize("path", ["/console/", "/console/index.html", "/console/main.js", "/console/config.json"])
def test_where_it_is_off_there_is_none(tmp_path: Path, path: str) -> None:
    """Without CONSOLE=on its paths are as unknown as any other."""
    answer = client_of(tmp_path, None).get(path)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", [*OURS, "qrcode.mjs"])
def test_every_file_is_served_as_what_it_is(client: FlaskClient, name: str) -> None:
    """With the type that its ending says and under the page's policy."""
    answer = client.get(f"/console/{name}")
    types = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html"}

    assert answer.status_code == 200
    assert answer.mimetype == types.get(Path(name).suffix, "image/svg+xml")
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["LICENSE.txt", "vendor", "vendor%2fqrcode.mjs", "..%2fapp.py", "%2e%2e", "draining"])
def test_nothing_else_is_served(client: FlaskClient, name: str) -> None:
    """A name that is not in the table is no file, wherever it would lead."""
    assert client.get(f"/console/{name}").status_code == 404


def test_the_page_and_its_scripts_name_only_what_is_there(client: FlaskClient) -> None:
    """Each address in the page and each import of a script is one of these files."""
    page = client.get("/console/").get_data(as_text=True)
    named = set(re.findall(r'(?:src|href)="/console/([^"]+)"', page))
    for name in SCRIPTS:
        named |= set(re.findall(r'(?:from "\./|import\("/console/)([^"]+)"', FILES[name].read_text("utf-8")))

    assert named == {*OURS, "qrcode.mjs", "sdk.js"} - {"index.html"}


def test_every_refusal_has_words_for_people() -> None:
    """But those that only back ends, Telnyx or an identity provider can meet."""
    written = set(re.findall(r"^  (\w+): \[", FILES["words.js"].read_text("utf-8"), re.MULTILINE))

    assert CODES - written == {
        *("malformed_request", "unsupported_media_type", "body_too_large", "not_found", "method_not_allowed"),
        *("request_in_progress", "invalid_refresh_token", "invalid_logout_token", "bad_signature"),
        "webhooks_not_configured",
    }


def test_the_page_has_no_script_or_style_of_its_own(client: FlaskClient) -> None:
    """Neither inline scripts, nor style elements, nor style or event attributes."""
    page = client.get("/console/").get_data(as_text=True)

    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_elements_of_text(name: str) -> None:
    """Nor code of it, nor a style that the policy would refuse."""
    source = FILES[name].read_text("utf-8")

    pattern = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|[^.]style[:=]"
    )
    assert re.findall(pattern, source) == []


@pytest.mark.parametrize("name", [name for name in OURS if not name.endswith(".svg")])
def test_no_file_names_another_host(name: str) -> None:
    """The only address is the name of SVG's vocabulary, which nobody asks."""
    addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"'`]*", FILES[name].read_text("utf-8"))

    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_the_sandbox_is_in_the_policy_where_there_is_one(tmp_path: Path) -> None:
    """The page may ask our own origin, and the sandbox's where ``make run`` has set it: nobody else."""

    def may_ask(given: str) -> str:
        policy = client_of(tmp_path, given).get("/console/").headers["Content-Security-Policy"]
        return re.findall(r"connect-src ([^;]*);", policy)[0]

    assert may_ask("") == "'self'"
    assert may_ask("http://127.0.0.1:8081") == "'self' http://127.0.0.1:8081"


def test_without_its_files_there_is_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image for production, whatever is set: the page knows of none, and may not ask one."""
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "index.html").touch()
    monkeypatch.setattr(pages, "_CONSOLE", tmp_path / "console")
    client = client_of(tmp_path, "http://127.0.0.1:8081")

    assert client.get("/console/config.json").get_json()["sandbox"] is None
    assert "connect-src 'self';" in client.get("/console/").headers["Content-Security-Policy"]


def test_the_page_is_told_what_it_needs(tmp_path: Path) -> None:
    """Where the sandbox is, and whether there is an SDK; no secret is among it."""
    told = client_of(tmp_path, "http://127.0.0.1:8081").get("/console/config.json").get_json()

    assert told == {"sandbox": "http://127.0.0.1:8081", "sdk": False}


@pytest.mark.parametrize("sandbox", [None, "http://127.0.0.1:8081"])
def test_the_sdk_is_for_a_real_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str | None) -> None:
    """A bundle of it beside the page's files is told of, and its one host allowed, where there is no sandbox."""
    (tmp_path / "console").mkdir()
    for name in ("index.html", "sandbox.js", "sdk.js"):
        (tmp_path / "console" / name).touch()
    monkeypatch.setattr(pages, "_CONSOLE", tmp_path / "console")
    client = client_of(tmp_path, sandbox or "")
    answer = client.get("/console/")

    assert client.get("/console/config.json").get_json()["sdk"] is (sandbox is None)
    assert ("wss://video.telnyx.com;" in answer.headers["Content-Security-Policy"]) is (sandbox is None)


def test_a_file_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    """Browsers ask each time, and get 304 for what they have."""
    first = client.get("/console/main.js")
    again = client.get("/console/main.js", headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")


def test_what_is_packaged_is_as_it_was_published() -> None:
    """The one file of others is byte for byte the release that its licence names."""
    assert hashlib.sha256((FOLDER / "vendor" / "qrcode.mjs").read_bytes()).hexdigest() == PACKAGED
    assert "qrcode-generator 2.0.4" in (FOLDER / "vendor" / "LICENSE.txt").read_text("utf-8")
