"""What other people's tools make of ``openapi.yaml``: linters by their default rules, and generators of clients.

The document is made for them: ``tests/web/test_openapi.py`` has the rules in short, and ``tests/clients`` compiles what
openapi-typescript makes of it.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients import kotlin, packages
from tests.clients.packages import ROOT, run
from tests.processes import Caller, ServiceProcess, admin, fresh, make_room

_GO: Final = """package main

import (
	"context"
	"fmt"
	"os"

	client "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func main() {
	config := client.NewConfiguration()
	config.Servers = client.ServerConfigurations{{URL: os.Args[1]}}
	config.AddDefaultHeader("Authorization", "Bearer "+os.Args[2])
	token, _, err := client.NewAPIClient(config).JoiningAPI.IssueToken(context.Background(), os.Args[3]).Execute()
	if err != nil {
		panic(err)
	}
	fmt.Println(token.GetSource(), token.Participant.GetRole())
}
"""
_KOTLIN: Final = """import org.openapitools.client.apis.JoiningApi
import org.openapitools.client.infrastructure.ApiClient

fun main(args: Array<String>) {
    ApiClient.accessToken = args[1]
    val token = JoiningApi(args[0]).issueToken(args[2])
    println("${token.source} ${token.participant.role}")
}
"""
HERE: Final = Path(__file__).parent
OPENAPI: Final = str(ROOT / "openapi.yaml")


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the linters and the compiler."""
    try:
        return packages.installed(HERE) / ".bin"
    except packages.NotHere as why:
        pytest.skip(str(why))


def generated(language: str, folder: Path, *options: str) -> Path:
    """A client in one language."""
    jar = importlib.util.find_spec("openapi_generator_cli")
    if jar is None or jar.origin is None or shutil.which("java") is None:
        pytest.skip("there is no Java here: apt-get install default-jre-headless")
    command = ["java", "-Xmx700m", "-jar", str(Path(jar.origin).parent / "openapi-generator.jar"), "generate"]
    run([*command, "-g", language, "-i", OPENAPI, "-o", str(folder), *options], cwd=folder)
    return folder


def test_redocly_finds_nothing(programs: Path, tmp_path: Path) -> None:
    """By its recommended rules."""
    told = run([str(programs / "redocly"), "lint", "--format=json", OPENAPI], cwd=tmp_path)

    assert json.loads(told[told.index("{") :])["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


def test_spectral_finds_nothing(programs: Path, tmp_path: Path) -> None:
    """By its rules for OpenAPI."""
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]', "utf-8")

    told = run([str(programs / "spectral"), "lint", "-r", "rules.yaml", "-f", "json", "-D", OPENAPI], cwd=tmp_path)

    assert told.strip().startswith("[]"), told


def test_a_strict_compiler_takes_the_client_for_fetch(programs: Path, tmp_path: Path) -> None:
    """TypeScript, without a word of complaint."""
    generated("typescript-fetch", tmp_path)
    options = {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
    }
    (tmp_path / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": options, "include": ["src", "*.ts", "*/*.ts"]})
    )

    assert (
        run([str(programs / "tsc"), "-p", str(tmp_path), "--moduleResolution", "bundler", "--module", "es2022"]) == ""
    )


def test_the_client_for_python_works(service: ServiceProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its modules load, and it makes a room, a ban, and gets a token."""
    monkeypatch.syspath_prepend(str(generated("python", tmp_path)))
    client: Any = importlib.import_module("openapi_client")
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(client.__path__, "openapi_client.")
    ]
    alias, bob = fresh(), Caller(service.url, "bob")

    def api(caller: Caller) -> Any:
        return client.ApiClient(client.Configuration(host=service.url, access_token=caller.bearer))

    administration, meeting = (
        client.AdministrationApi(api(admin(service.url))),
        client.MeetingApi(api(admin(service.url))),
    )
    rule = client.Rule(authenticated=True, role="participant")
    administration.put_room(alias, client.RoomSpec(title="Made by a generator", access=[rule]))
    token = client.JoiningApi(api(bob)).issue_token(alias)
    meeting.kick_participants(alias, client.KickRequest(users=["bob"]))

    assert len(modules) > 50
    assert (token.source, token.participant.role) == (client.TokenSource.ISSUED, client.Role.PARTICIPANT)
    assert [ban.user for ban in meeting.list_bans(alias).data] == ["bob"]
    assert sys.modules["openapi_client"] is client


def test_the_client_for_go_works(service: ServiceProcess, tmp_path: Path) -> None:
    """It is compiled, and gets a token without being given a body, for which it writes ``null``."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go here: apt-get install golang-go")
    made, stub, program = (tmp_path / name for name in ("made", "validator", "made/program"))
    for folder in (made, stub):
        folder.mkdir()
    generated("go", made)
    program.mkdir()
    (program / "main.go").write_text(_GO, "utf-8")
    # The only package that it needs looks at what is read, and is not to be had without a network.
    (stub / "go.mod").write_text("module gopkg.in/validator.v2\n\ngo 1.18\n", "utf-8")
    (stub / "validator.go").write_text("package validator\n\nfunc Validate(any) error { return nil }\n", "utf-8")
    module = re.sub(r"(?m)^go .*$", "go 1.18", (made / "go.mod").read_text("utf-8"))
    (made / "go.mod").write_text(f"{module}\nreplace gopkg.in/validator.v2 => ../validator\n", "utf-8")
    alias, bob = fresh(), Caller(service.url, "bob")
    make_room(service.url, alias, "bob")

    command = ["env", "GOFLAGS=-mod=mod", "GOPROXY=off", "go", "run", "./program", service.url, bob.bearer, alias]
    assert run(command, cwd=made) == "issued participant\n"


def test_the_client_for_kotlin_works(service: ServiceProcess, tmp_path: Path) -> None:
    """With OkHttp and kotlinx-serialization it is compiled and gets a token; Moshi, its default, is not to be had."""
    made = generated("kotlin", tmp_path, "--additional-properties=serializationLibrary=kotlinx_serialization")
    (tmp_path / "Main.kt").write_text(_KOTLIN, "utf-8")
    try:
        classes = kotlin.generated([tmp_path / "Main.kt", made / "src" / "main"], tmp_path / "client.jar")
    except packages.NotHere as why:
        pytest.skip(str(why))
    alias, bob = fresh(), Caller(service.url, "bob")
    make_room(service.url, alias, "bob")

    assert run(["java", "-cp", classes, "MainKt", service.url, bob.bearer, alias]) == "issued participant\n"


def test_a_compiler_takes_the_client_for_swift(tmp_path: Path) -> None:
    """Swift 6 in its own mode, without an error."""
    sources = (generated("swift6", tmp_path) / "Sources").rglob("*.swift")
    if shutil.which("swiftc") is None:
        pytest.skip("there is no Swift here: apt-get install swiftlang (Debian 13)")

    run(["swiftc", "-swift-version", "6", "-typecheck", *map(str, sources)])
