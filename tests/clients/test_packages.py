"""The packages as they are handed out: what is in them, that their types are those of their code, that Swift parses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients import packages
from tests.clients.packages import HERE, ROOT, WEB

IOS = ROOT / "clients" / "ios"
LIMITS = {
    "call": 10, "max backoff": 15, "between tries": 1, "max retry after": 60, "patience": 30,
}  # fmt: skip


@pytest.fixture(scope="module")
def package(built: Path) -> Path:
    """The web package as it is installed in an app."""
    assert built.exists()
    return packages.web()


def test_the_web_package_depends_on_nothing(package: Path) -> None:
    """React, which only the hook's entry needs, is the app's own and may be missing."""
    manifest = json.loads((package / "package.json").read_text("utf-8"))

    assert not manifest.keys() & {"dependencies", "optionalDependencies", "bundledDependencies"}
    assert manifest["peerDependenciesMeta"] == {name: {"optional": True} for name in manifest["peerDependencies"]}


def test_the_web_package_holds_what_its_entries_name(package: Path) -> None:
    """Code and types of each, and nothing that is only for the repository."""
    entries = json.loads((package / "package.json").read_text("utf-8"))["exports"].values()
    named = {path for entry in entries for path in entry.values()}
    files = {f"./{path.relative_to(package)}" for path in package.rglob("*") if path.is_file()}

    assert named <= files
    assert {path.split("/")[1] for path in files} == {"README.md", "package.json", "src", "types"}


def test_only_the_entry_for_react_imports_react(package: Path) -> None:
    """And no entry imports anything else from outside."""
    imports = {
        (path.name, name)
        for path in (package / "src").glob("*.js")
        for name in re.findall(r'^import .*from "([^".][^"]*)"', path.read_text("utf-8"), re.MULTILINE)
    }

    assert imports == {("react.js", "react")}


def test_types_are_those_of_the_code(package: Path) -> None:
    """As the strict compiler makes them of it; tests/clients/.build/types holds them, to be copied."""
    assert package.exists()
    made = {path.name: path.read_text("utf-8") for path in packages.types().iterdir()}

    assert {path.name: path.read_text("utf-8") for path in (WEB / "types").iterdir()} == made


@pytest.fixture(scope="module")
def component(package: Path) -> dict[str, Any]:
    """A component that uses the hook: idle, in a room, with trouble there, in another room, unmounted."""
    assert package.exists()
    told: dict[str, Any] = json.loads(packages.run(["node", str(HERE / "react.mjs")], seconds=60))
    return told


def test_a_component_shows_what_its_keeper_tells(component: dict[str, Any]) -> None:
    """From nothing to a token, through trouble, to another one; then another room, and its end."""
    assert component["shown"] == [
        ["idle", None, None, None],
        ["joining", None, None, None],
        ["live", "first", None, None],
        ["live", "first", "upstream_unavailable", None],
        ["live", "second", None, None],
        ["joining", None, None, None],
        ["ended", None, None, "refused"],
    ]
    assert component["complaints"] == []


def test_a_component_that_is_mounted_twice_asks_once(component: dict[str, Any]) -> None:
    """As StrictMode does it; and a new callback is used without a new keeper."""
    assert component["asked"][0] == ["standup", "Bearer one"]
    assert component["asked"][1:3] == [["standup", "Bearer two"]] * 2
    assert component["asked"][3:] == [["review", "Bearer two"]]


def test_a_component_that_is_gone_asks_no_more(component: dict[str, Any]) -> None:
    """Its keeper has stopped."""
    assert component["later"] == 0


@pytest.fixture(scope="module")
def swift(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Swift files, those in the README included, and where they do not fit the grammar."""
    assert package.exists()
    folder = tmp_path_factory.mktemp("swift")
    blocks = re.findall(r"^```swift\n(.*?)^```", (IOS / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        (folder / f"README-{number}.swift").write_text(block, "utf-8")
    (folder / "broken.swift").write_text("struct A { func f( -> Int { 1 } }", "utf-8")
    files = [*IOS.rglob("*.swift"), *folder.iterdir()]
    # Without the optimising compiler: it would work for seconds on a grammar that is used for one.
    found = json.loads(packages.run(["node", "--liftoff-only", str(HERE / "parse_swift.mjs"), *map(str, files)]))
    return {Path(file).name: faults for file, faults in found.items()}


def test_all_swift_parses(swift: dict[str, list[str]]) -> None:
    """Also where no compiler is; a file that is broken on purpose shows that faults are seen."""
    assert swift.pop("broken.swift")
    assert {name for name, faults in swift.items() if faults} == set()
    assert swift.keys() >= {"Package.swift", "TokenKeeper.swift", "README-0.swift", "README-1.swift"}


def limits(path: str, names: dict[str, str]) -> dict[str, float]:
    """The numbers behind names in a source file."""
    text = (ROOT / "clients" / path).read_text("utf-8")
    found = {what: re.search(rf"\b{name}\b(?:: Double)? = (\d+)", text) for what, name in names.items()}
    return {what: float(match[1]) for what, match in found.items() if match}


@pytest.mark.parametrize(
    ("sources"),
    [
        {
            "web/src/keeper.js": {
                "call": "CALL_SECONDS",
                "max backoff": "MAX_BACKOFF_SECONDS",
                "between tries": "MIN_SECONDS_BETWEEN_TRIES",
                "patience": "DEFAULT_PATIENCE_SECONDS",
            },
            "web/src/problems.js": {"max retry after": "MAX_RETRY_AFTER_SECONDS"},
        },
        {
            "android/src/main/kotlin/videotoken/client/TokenKeeper.kt": {
                "call": "CALL_SECONDS",
                "max backoff": "MAX_BACKOFF_SECONDS",
                "between tries": "MIN_SECONDS_BETWEEN_TRIES",
                "max retry after": "MAX_RETRY_AFTER_SECONDS",
                "patience": "patienceSeconds",
            }
        },
        {
            "ios/Sources/VideoTokenClient/TokenKeeper.swift": {
                "call": "call",
                "max backoff": "backoff",
                "between tries": "betweenTries",
                "max retry after": "retryAfter",
                "patience": "patience",
            }
        },
    ],
    ids=["web", "Android", "iOS"],
)
def test_limits_are_the_same_on_all_platforms(sources: dict[str, dict[str, str]]) -> None:
    """Those of BEHAVIOUR.md."""
    found: dict[str, float] = {}
    for path, names in sources.items():
        found |= limits(path, names)

    assert found == LIMITS
