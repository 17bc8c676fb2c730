"""Licence, changelog and security policy: they agree with the rest, and what they point to is there."""

from __future__ import annotations

import hashlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import Final

import pytest

from service.__main__ import parser
from service.observability import telemetry
from tests.document import document
from tests.observability.known import CODES

ROOT: Final = Path(__file__).resolve().parents[2]
# Of https://www.apache.org/licenses/LICENSE-2.0.txt, whose text may not be changed.
APACHE_2: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_licence_is_the_whole_apache_licence() -> None:
    """To the letter."""
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_document_and_package_name_the_licence() -> None:
    """By its identifier."""
    said = document()["info"]["license"]["identifier"]

    assert said == tomllib.loads(text("pyproject.toml"))["project"]["license"] == "Apache-2.0"


def test_files_of_others_are_noted_and_keep_their_licence() -> None:
    """Each file in a folder of others' is in NOTICE, and a licence lies beside it."""
    files = [file for folder in (ROOT / "service").rglob("vendor") for file in folder.iterdir()]
    licences = {file for file in files if file.name.startswith("LICENSE")}

    assert files
    for file in set(files) - licences:
        assert str(file.relative_to(ROOT)) in text("docs/NOTICE.md")
        assert any(licence.parent == file.parent for licence in licences)


def test_the_newest_release_of_the_changelog_is_the_one_that_is_told() -> None:
    """``/version`` and the changelog agree."""
    assert re.findall(r"(?m)^## \[(\d[^\]]*)\]", text("CHANGELOG.md"))[0] == telemetry.VERSION


def test_the_changelog_has_the_form_that_it_names() -> None:
    """Releases with a date, newest first, and only the kinds of changes that there are."""
    releases = re.findall(r"(?m)^## (.+)$", text("CHANGELOG.md"))
    kinds = set(re.findall(r"(?m)^### (.+)$", text("CHANGELOG.md")))
    dates = [re.fullmatch(r"\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d)", release) for release in releases[1:]]

    assert releases[0] == "[Unreleased]"
    assert [found[1] for found in dates if found] == sorted((found[1] for found in dates if found), reverse=True)
    assert None not in dates
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


PAPERS: Final = ["README.md", "CHANGELOG.md", *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


# By deploy/make-secrets, and by readers.
MADE: Final = ("deploy/.env", "deploy/files", "deploy/secrets", "deploy/kubernetes/mine")


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAPERS)
def test_what_a_paper_points_to_is_there(name: str) -> None:
    """Paths of this repository, and links to its files and to their headings."""
    here = (ROOT / name).parent
    # The page on Telnyx names paths of other repositories.
    paths = [] if name == "docs/telnyx.md" else re.findall(r"\b(?:service|tests|deploy|docs)/[\w/.-]*\w", text(name))
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text(name))

    missing = {path for path in paths if not any((folder / path).exists() for folder in (ROOT, here))}
    assert {path for path in missing if not path.startswith(MADE)} == set()
    assert {link for link, _ in links if not (here / link).exists()} == set()
    headed = [(here / link if link else ROOT / name, heading) for link, heading in links if heading]
    assert {str(page) for page, heading in headed if page.suffix == ".md" and heading not in anchors(page)} == set()


def test_the_index_leads_to_every_page() -> None:
    """Itself, or by a page that it names for the purpose."""
    indexes = ["README.md", "decisions/README.md", "identity-providers/README.md"]
    folder = ROOT / "docs"
    linked = {
        (folder / index).parent.joinpath(link).resolve()
        for index in indexes
        for link in re.findall(r"\]\(([^)#:]+\.md)", (folder / index).read_text("utf-8"))
    }

    assert {str(page) for page in folder.rglob("*.md") if page.resolve() not in linked} <= {str(folder / "README.md")}


def test_the_readme_is_short() -> None:
    """What is not needed on the first day is a page of its own."""
    assert len(text("README.md").splitlines()) <= 150


def test_promises_of_security_point_to_tests() -> None:
    """Each row of the table names at least one file or folder of tests, and each of them is there."""
    table = text("docs/SECURITY.md").partition("## What is promised")[2].partition("\n## ")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    held = [re.findall(r"`([^`]+)`", row) for row in rows]

    assert len(held) > 8
    for named in held:
        folder = (ROOT / named[0]).parent
        assert named[0].startswith("tests/")
        assert all((ROOT / one).exists() or (folder / one).exists() for one in named), named


def test_the_reference_names_every_call() -> None:
    """Each path of the document but those below ``/v2``, which have a page of their own, and pages for browsers."""
    written = re.sub(r"{\w+}", "{}", text("docs/reference/calls.md"))
    paths = [re.sub(r"{\w+}", "{}", path) for path in document()["paths"]]

    assert [
        path for path in paths if not path.startswith(("/v2", "/console", "/docs/")) and _short(path) not in written
    ] == []


def _short(path: str) -> str:
    """As in a table where the row before has the beginning."""
    return re.sub(r"^.*(?=/(members/{}|bans/{}|invites/{}|actions/unmute)$)", "...", path)


def test_codes_and_log_lines_of_the_troubleshooting_page_are_there() -> None:
    """What a reader looks for is what the service writes."""
    page = text("docs/troubleshooting.md")
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py"))
    codes = {code for row in re.findall(r"(?m)^\| (`.*?) \|", page) for code in re.findall(r"`([a-z_]+)`", row)}
    lines = {" ".join(line.split()) for line in re.findall(r"log (?:line|warns) `([^`]+)`", page)}

    assert len(codes) > 10
    assert len(lines) > 2
    assert {text for text in (codes - CODES) | lines if f'"{text}"' not in source} == set()


def test_commands_that_papers_name_are_there() -> None:
    """The program takes them as they are written, and make has such targets."""
    papers = "".join(map(text, PAPERS))
    commands = [shlex.split(found) for found in re.findall(r"-m service ([a-z][^`|<>\n\\;]*)", papers)]
    targets = re.findall(r"(?m)[`]make ([a-z]+(?:-[a-z]+)*)|^make ([a-z]+)", papers)

    assert len(commands) > 20
    for command in commands:
        parser().parse_args(command)
    assert {one or other for one, other in targets} <= set(re.findall(r"(?m)^([a-z-]+):", text("Makefile")))


def test_settings_that_papers_name_are_settings() -> None:
    """Nobody is told to set what is not there."""
    papers = "".join(map(text, ("docs/SECURITY.md", "docs/runbook.md", "docs/troubleshooting.md")))
    named = set(re.findall(r"`([A-Z][A-Z_]{5,})(?:=[^`]*)?`", papers))
    known = set(re.findall(r"(?m)^\| `([A-Z_]+)`", text("docs/reference/settings.md"))) | {
        "NAME_FILE",
        "AUTH_",
        "NOREPLICAS",
    }

    assert named - known == set()
