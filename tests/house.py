"""The house rules (DESIGN 3) as pure functions: source text in, complaints out. ``test_house`` holds the code to them.

A source tree is a mapping from dotted module name to source text, so that a test can plant a violation.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]

GUNICORN_SETTINGS = "service.gunicorn.conf"
LONGEST_MODULE = 350
LONGEST_FUNCTION = 60

# Lower floors know nothing of higher ones. The first prefix that fits decides.
FLOORS = (
    (
        "leaves",
        (
            "service",
            "service.claims",
            "service.clock",
            "service.compact",
            "service.errors",
            "service.expiring",
            "service.fixed_keys",
            "service.issuers",
            "service.logwriter",
            "service.redis_url",
            "service.readers",
            "service.refusal",
            "service.secret",
            "service.settings",
            "service.telemetry",
            "service.tracing",
        ),
    ),
    (
        "gateways",
        (
            "service.jwk",
            "service.jwks_fetch",
            "service.keys",
            "service.sealing",
            "service.store",
            "service.telnyx",
            "service.transport",
        ),
    ),
    (
        "rules",
        (
            "service.admission",
            "service.adoption",
            "service.attendance",
            "service.attendant",
            "service.bearer",
            "service.context",
            "service.directory",
            "service.events",
            "service.flights",
            "service.grant",
            "service.gateway",
            "service.guests",
            "service.housekeeping",
            "service.identity",
            "service.inbox",
            "service.invites",
            "service.lifecycle",
            "service.logout",
            "service.meeting",
            "service.moderation",
            "service.presence",
            "service.provisioning",
            "service.renewal",
            "service.revocations",
            "service.rooms",
            "service.roster",
            "service.tickets",
            "service.tokens",
        ),
    ),
    ("routes", ("service.routes",)),
    ("app", ("service.app",)),
    ("commands", ("service.commands", "service.__main__", "service.gunicorn.conf")),
    ("sandbox", ("service.sandbox",)),
)
OWNERS = {
    "redis": ("service.store",),
    "requests": ("service.transport", "service.sandbox"),
    "jwt": ("service.identity", "service.jwk", "service.sealing", "service.sandbox"),
    "flask": ("service.app", "service.routes", "service.sandbox"),
}
HARMLESS_CALLS = frozenset(
    {
        "re.compile",
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
        "threading.local",
        "readers.between",
        "readers.one_of",  # settings: a check made of two numbers
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
    """Imports that climb, and modules that stand on no floor."""
    complaints = []
    for module, imported in _own_imports(tree):
        own, other = _floor(module), _floor(imported)
        if own is None:
            complaints.append(f"{module} stands on no floor")
        elif _SANDBOX in {own, other}:
            if own != other:
                complaints.append(f"{module} imports {imported} across the seam")
        elif other is None or other > own:
            complaints.append(f"{module} imports {imported} upwards")
    return sorted(set(complaints))


def cycles(tree: Sources) -> list[str]:
    """Modules that import each other in a ring."""
    graph: dict[str, set[str]] = {}
    for module, imported in _own_imports(tree):
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
        for library in sorted(_libraries(source))
        if library in OWNERS and not _below(module, OWNERS[library])
    ]


def hidden_imports(tree: Sources) -> list[str]:
    """Imports of our own modules inside functions."""
    return [
        f"{module}:{node.lineno}"
        for module, source in tree.items()
        for function in _functions(source)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(_is_ours(name) for name in _imported_names(node, module))
    ]


def built_at_import(tree: Sources) -> list[str]:
    """Things made, and things done, by merely importing a module; a settings file for gunicorn is there to be run."""
    values = {name for source in tree.values() for name in _frozen_data(source)}
    harmless = HARMLESS_CALLS | values | {name for source in tree.values() for name in _makers(source, values)}
    return [
        f"{module}:{node.lineno} calls {ast.unparse(node.func)}"
        for module, source in tree.items()
        if module != GUNICORN_SETTINGS
        for statement in ast.parse(source).body
        for node in _calls_at_import(statement)
        if ast.unparse(node.func) not in harmless
    ]


def app_lookups(tree: Sources) -> list[str]:
    """Uses of ``current_app`` outside of routes."""
    return [
        module
        for module, source in tree.items()
        if not _below(module, ("service.routes", "service.sandbox"))
        and any(isinstance(node, ast.Name) and node.id == "current_app" for node in ast.walk(ast.parse(source)))
    ]


def ungated_blueprints(tree: Sources) -> list[str]:
    """Blueprints made without naming a gate."""
    return [
        f"{module}:{node.lineno}"
        for module, source in tree.items()
        if not _below(module, ("service.sandbox",))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Blueprint"
    ]


def oversized(tree: Sources) -> list[str]:
    """Modules and functions that nobody reads in one go."""
    modules = [name for name, source in tree.items() if source.count("\n") > LONGEST_MODULE]
    functions = [
        f"{name}.{function.name}"
        for name, source in tree.items()
        for function in _functions(source)
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
    ]
    return modules + functions


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


def stale_settings(readme: str, table: str) -> list[str]:
    """Rows of the settings table that the README lacks, and rows that it has and the settings do not."""
    written = [line for line in readme.splitlines() if line.startswith("| `")]
    wanted = [line for line in table.splitlines() if line.startswith("| `")]
    missing = [f"not in the README: {row}" for row in wanted if row not in written]
    known = {row.split("`")[1] for row in wanted}
    changed = [row for row in written if row.split("`")[1] in known and row not in wanted]
    gone = [row for row in written if row.split("`")[1].isupper() and row.split("`")[1] not in known]
    return missing + [f"not a setting: {row}" for row in changed + gone]


def _floor(module: str) -> int | None:
    for number, (_, prefixes) in enumerate(FLOORS):
        if module in prefixes or _below(module, tuple(prefix for prefix in prefixes if prefix != "service")):
            return number
    return None


_SANDBOX = [name for name, _ in FLOORS].index("sandbox")


def _below(module: str, owners: tuple[str, ...]) -> bool:
    return any(module == owner or module.startswith(owner + ".") for owner in owners)


def _is_ours(name: str) -> bool:
    return _below(name, ("service",))


def _imported_names(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        base = ".".join([*module.split(".")[: -node.level], base]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]


def _own_imports(tree: Sources) -> Iterator[tuple[str, str]]:
    """(importer, imported module) for every import between modules of the tree."""
    for module, source in tree.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in _imported_names(node, module):
                    target = name if name in tree else name.rpartition(".")[0]
                    if _is_ours(target):
                        yield module, target


def _libraries(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def _functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _frozen_data(source: str) -> Iterator[str]:
    """Classes whose instances are values: a table of them is a constant."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(decorator).startswith("dataclass(") and "frozen=True" in ast.unparse(decorator)
            for decorator in node.decorator_list
        ):
            yield node.name


def _makers(source: str, values: set[str]) -> Iterator[str]:
    """Functions that say they answer such a value: the rows of a table."""
    for function in _functions(source):
        if function.returns is not None and ast.unparse(function.returns) in values:
            yield function.name


def _calls_at_import(statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls that run when a module is imported; what stands in a function, a lambda or under ``__main__`` does not."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom):
        return
    if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
        return
    if isinstance(statement, ast.ClassDef):
        for inner in statement.body:
            yield from _calls_at_import(inner)
        return
    yield from _calls_in(statement)


def _calls_in(node: ast.AST) -> Iterator[ast.Call]:
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child)
