"""The rules of the house (docs/contributing.md) as pure functions: source text in, complaints out. ``test_house`` holds
the code to them.

A source tree is a mapping from dotted module name to source text, so that a test can plant a violation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from tests import syntax

# A document of the repository, perhaps with numbers of its sections; and papers that only their authors have.
_CITATION = re.compile(r"(docs/[\w/-]+\.md)((?: \d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*)?)")
_PAPER = re.compile(r"\b(?:DESIGN|UPSTREAM) \d[\d.]*")

Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]

GUNICORN_SETTINGS = "service.cli.gunicorn.conf"
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60

# The house: modules that stand on nothing, and nine floors of packages on them. Nothing is imported from a higher
# floor, nor from another package on the same one.
FOUNDATION = (
    "service.clock",
    "service.crypto",
    "service.errors",
    "service.fair_semaphore",
    "service.http_client",
    "service.names",
    "service.secret",
    "service.ttl_cache",
)
FLOORS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (FOUNDATION,),
    (("service.observability",), ("service.storage",)),
    (("service.identity",), ("service.telnyx",)),
    (("service.config",), ("service.rooms",)),
    (("service.meetings",),),
    (("service.tokens",),),
    (("service.gateway",),),
    (("service.web",),),
    (("service.app",),),
    (("service.cli", "service.__main__"),),
)
# Beside the house, behind a URL: imports nothing of it and is imported by nothing.
SANDBOX = "service.sandbox"
SANDBOX_PLACE = (-1, 0)
OWNERS = {
    "click": ("service.cli",),
    "flask": ("service.app", "service.web", SANDBOX),
    "gevent": (
        "service.__main__",
        "service.cli",
        "service.clock",
        "service.fair_semaphore",
        "service.observability.log_writer",
        "service.storage",
        "service.tokens.single_flight",
    ),
    "gunicorn": ("service.cli",),
    "jsonschema_rs": ("service.web.openapi",),
    "jwt": ("service.crypto", "service.identity", SANDBOX),
    "prometheus_client": ("service.app", "service.cli", "service.observability"),
    "redis": ("service.cli.check", "service.storage"),
    "requests": ("service.http_client", SANDBOX),
    "urllib3": ("service.http_client",),
    "werkzeug": ("service.web", SANDBOX),
}
# What these libraries offer to others; all else in them changes without notice.
PUBLIC_MODULES = {
    "gevent": {"gevent", "gevent.event", "gevent.lock", "gevent.monkey"},
    "gunicorn": {"gunicorn.glogging"},
    "jwt": {"jwt", "jwt.algorithms", "jwt.exceptions"},
    "redis": {"redis", "redis.backoff", "redis.cluster", "redis.exceptions", "redis.retry", "redis.sentinel"},
    "requests": {"requests", "requests.adapters", "requests.exceptions", "requests.utils"},
    "urllib3": {"urllib3", "urllib3.exceptions", "urllib3.util"},
}
# Documented, for all their underscore: of named tuples, of ``os``, and the types of WSGI.
PUBLIC_IN_SPITE = frozenset({"_asdict", "_fields", "_make", "_replace", "_exit", "_typeshed"})
HARMLESS_CALLS = frozenset(
    {
        "re.compile",
        "struct.Struct",
        "logging.getLogger",
        "frozenset",
        "json.JSONDecoder",
        "json.JSONEncoder",
        "object",
        "TypeVar",
        "ContextVar",
        "NewType",
        "Path",
        "field",
        "timedelta",
        "MappingProxyType",
        "staticmethod",
        "threading.local",
        "parsers.between",
        "parsers.one_of",  # settings: a check made of two numbers
    }
)


def sources(root: Path, package: str = "service") -> dict[str, str]:
    """Every Python module below ``root``/``package``."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text("utf-8")
    return found


def wrong_direction(tree: Sources) -> list[str]:
    """Imports that climb or go to a neighbour, and modules that stand on no floor."""
    # The root holds a docstring, which needs no floor.
    placeless = [module for module in tree if module != "service" and _place(module) is None]
    complaints = [f"{module} stands on no floor" for module in placeless]
    for module, imported in syntax.own_imports(tree):
        own, other = _place(module), _place(imported)
        if own is None or other is None or own == other:
            continue
        if SANDBOX_PLACE in {own, other}:
            complaints.append(f"{module} imports {imported} across the seam")
        elif other[0] >= own[0]:
            complaints.append(f"{module} imports {imported} {'upwards' if other[0] > own[0] else 'from a neighbour'}")
    return sorted(set(complaints))


def cycles(tree: Sources) -> list[str]:
    """Modules that import each other in a ring."""
    graph: dict[str, set[str]] = {}
    for module, imported in syntax.own_imports(tree):
        # A package's own docstring module imports nothing of its parts; importing a part always runs it.
        if imported != module:
            graph.setdefault(module, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def strangers(tree: Sources) -> list[str]:
    """Libraries imported outside of the modules that own them."""
    return [
        f"{module} imports {library}"
        for module, source in tree.items()
        for library in sorted(syntax.libraries(source))
        if library in OWNERS and not _below(module, OWNERS[library])
    ]


def private_names(tree: Sources) -> list[str]:
    """Private names of others: an attribute of another's object, also by ``getattr``, an import of a private name, a
    module on the inside of a library, and a comment that allows any of it.
    """
    complaints = []
    for module, source in tree.items():
        reached = syntax.reached_names(syntax.parsed(source), module)
        complaints += [f"{module}:{line} {name}" for line, name in reached if _is_private(name)]
        inside = {name for node in syntax.nodes(source) for name in syntax.library_modules(node)}
        complaints += [f"{module} uses {name}" for name in sorted(inside) if name not in _public_modules(name)]
        complaints += [f"{module} allows it: {line.strip()}" for line in source.splitlines() if "SLF001" in line]
    return complaints


def _is_private(name: str) -> bool:
    """Whether the last part of ``name`` is private to another than ``self``."""
    owner, _, last = name.rpartition(".")
    return re.match(r"_(?!_)", last) is not None and last not in PUBLIC_IN_SPITE and owner not in {"self", "cls"}


def _public_modules(name: str) -> set[str]:
    return PUBLIC_MODULES.get(name.partition(".")[0], {name})


def unnamed_modules(tree: Sources) -> list[str]:
    """Modules that the docstring of their package does not name: who reads it would not find them."""
    return [
        module
        for module in tree
        for package in [module.rpartition(".")[0]]
        if package in tree and package not in {"service", SANDBOX} and not module.endswith(".__main__")
        if f"``{module.rpartition('.')[2]}``" not in (ast.get_docstring(syntax.parsed(tree[package])) or "")
    ]


def hidden_imports(tree: Sources) -> list[str]:
    """Imports of our own modules inside functions."""
    return [
        f"{module}:{node.lineno}"
        for module, source in tree.items()
        for function in syntax.functions(source)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(_below(name, ("service",)) for name in syntax.imported_names(node, module))
    ]


def missing_citations(tree: Sources, documents: Mapping[str, str]) -> list[str]:
    """Documents that a comment or docstring cites, and numbered sections of them, that the reader does not have."""
    complaints = []
    for module, source in tree.items():
        for document, sections in _CITATION.findall(source):
            headings = set(re.findall(r"(?m)^#+ (\d+(?:\.\d+)?)\.? ", documents.get(document, "")))
            if document not in documents or set(re.findall(r"\d+(?:\.\d+)?", sections)) - headings:
                complaints.append(f"{module} cites {document}{sections}")
        complaints += [f"{module} cites {paper}" for paper in _PAPER.findall(source)]
    return complaints


def built_at_import(tree: Sources) -> list[str]:
    """Things made, and things done, by merely importing a module; a settings file for gunicorn is there to be run."""
    values = {name for source in tree.values() for name in syntax.frozen_data(source)}
    harmless = HARMLESS_CALLS | values | {name for source in tree.values() for name in syntax.makers(source, values)}
    return [
        f"{module}:{node.lineno} calls {ast.unparse(node.func)}"
        for module, source in tree.items()
        if module != GUNICORN_SETTINGS
        for node in syntax.calls_at_import(source)
        if ast.unparse(node.func) not in harmless
    ]


def app_lookups(tree: Sources) -> list[str]:
    """Uses of ``current_app`` outside of ``web``."""
    return [
        module
        for module, source in tree.items()
        if not _below(module, ("service.web", SANDBOX))
        and any(isinstance(node, ast.Name) and node.id == "current_app" for node in syntax.nodes(source))
    ]


def ungated_blueprints(tree: Sources) -> list[str]:
    """Blueprints made without naming a gate."""
    return [
        f"{module}:{node.lineno}"
        for module, source in tree.items()
        if not _below(module, (SANDBOX,))
        for node in syntax.nodes(source)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Blueprint"
    ]


def oversized(tree: Sources) -> list[str]:
    """Modules and functions that nobody reads in one go."""
    modules = [name for name, source in tree.items() if source.count("\n") > MAX_MODULE_LINES]
    functions = [
        f"{name}.{function.name}"
        for name, source in tree.items()
        for function in syntax.functions(source)
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]
    return modules + functions


def drawn_floors(document: str) -> list[set[str]]:
    """The floors of the picture in a document, from the ground up."""
    picture = document.partition("```text\n")[2].partition("```")[0]
    rows = [row.split() for row in picture.splitlines()]
    return [set(row[1:]) for row in sorted(rows, key=lambda row: int(row[0]))]


def contract_gaps(routes: set[tuple[str, str, str]], document: Mapping[str, Any]) -> list[str]:
    """Differences between (method, path, operation id) of the application and those of the document, both ways."""
    written = {
        (method.upper(), path, operation["operationId"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "put", "post", "delete", "patch"}
    }
    missing = [f"not in the document: {' '.join(route)}" for route in sorted(routes - written)]
    return missing + [f"not in the application: {' '.join(route)}" for route in sorted(written - routes)]


def stale_settings(page: str, table: str) -> list[str]:
    """Rows of the settings table that a page lacks, and rows that it has and the settings do not."""
    written = [line for line in page.splitlines() if line.startswith("| `")]
    wanted = [line for line in table.splitlines() if line.startswith("| `")]
    missing = [f"not on the page: {row}" for row in wanted if row not in written]
    known = {row.split("`")[1] for row in wanted}
    changed = [row for row in written if row.split("`")[1] in known and row not in wanted]
    gone = [row for row in written if row.split("`")[1].isupper() and row.split("`")[1] not in known]
    return missing + [f"not a setting: {row}" for row in changed + gone]


def _place(module: str) -> tuple[int, int] | None:
    """The floor of a module and where on it its package stands; the sandbox has a number of its own."""
    if _below(module, (SANDBOX,)):
        return SANDBOX_PLACE
    places = ((floor, room) for floor, rooms in enumerate(FLOORS) for room in range(len(rooms)))
    return next((place for place in places if _below(module, FLOORS[place[0]][place[1]])), None)


def _below(module: str, owners: tuple[str, ...]) -> bool:
    return any(module == owner or module.startswith(owner + ".") for owner in owners)
