"""The rules of the house (docs/contributing.md) as pure functions: source text in, complaints out. ``test_house`` holds
the code to them.

A source tree is a mapping from dotted module name to source text, so that a test can plant a violation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

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
    "service.http_client",
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
    "flask": ("service.app", "service.web", SANDBOX),
    "gevent": (
        "service.__main__",
        "service.cli",
        "service.clock",
        "service.observability.log_writer",
        "service.storage",
        "service.telnyx",
        "service.tokens.single_flight",
    ),
    "gunicorn": (),
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
    "gunicorn": set[str](),
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
    for module, imported in _own_imports(tree):
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


def private_names(tree: Sources) -> list[str]:
    """Private names of others: ``x._y`` where the module itself has no ``_y``, also by ``getattr``, an import of one,
    an import from the inside of a library, and a comment that allows it.
    """
    complaints = []
    for module, source in tree.items():
        parsed = ast.parse(source)
        own = set(_own_private_names(parsed))
        complaints += [
            f"{module}:{node.lineno} {name}"
            for node in ast.walk(parsed)
            for name in _private_names_in(node, module)
            if name.rpartition(".")[2] not in own or not isinstance(node, ast.Attribute | ast.Call)
        ]
        complaints += [
            f"{module}:{number} allows it" for number, line in enumerate(source.splitlines(), 1) if "SLF001" in line
        ]
    return complaints


def unnamed_modules(tree: Sources) -> list[str]:
    """Modules that the docstring of their package does not name: who reads it would not find them."""
    return [
        module
        for module in tree
        for package in [module.rpartition(".")[0]]
        if package in tree and package not in {"service", SANDBOX} and not module.endswith(".__main__")
        if f"``{module.rpartition('.')[2]}``" not in (ast.get_docstring(ast.parse(tree[package])) or "")
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
    """Uses of ``current_app`` outside of ``web``."""
    return [
        module
        for module, source in tree.items()
        if not _below(module, ("service.web", SANDBOX))
        and any(isinstance(node, ast.Name) and node.id == "current_app" for node in ast.walk(ast.parse(source)))
    ]


def ungated_blueprints(tree: Sources) -> list[str]:
    """Blueprints made without naming a gate."""
    return [
        f"{module}:{node.lineno}"
        for module, source in tree.items()
        if not _below(module, (SANDBOX,))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Blueprint"
    ]


def oversized(tree: Sources) -> list[str]:
    """Modules and functions that nobody reads in one go."""
    modules = [name for name, source in tree.items() if source.count("\n") > MAX_MODULE_LINES]
    functions = [
        f"{name}.{function.name}"
        for name, source in tree.items()
        for function in _functions(source)
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


def stale_settings(readme: str, table: str) -> list[str]:
    """Rows of the settings table that the README lacks, and rows that it has and the settings do not."""
    written = [line for line in readme.splitlines() if line.startswith("| `")]
    wanted = [line for line in table.splitlines() if line.startswith("| `")]
    missing = [f"not in the README: {row}" for row in wanted if row not in written]
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


def _own_private_names(parsed: ast.Module) -> Iterator[str]:
    """Private attributes and methods that the module itself gives to its classes."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield inner.name
                elif isinstance(inner, ast.AnnAssign):
                    yield ast.unparse(inner.target)


def _private_names_in(node: ast.AST, module: str) -> Iterator[str]:
    """What ``node`` reaches for that is somebody else's, perhaps the module's own class's."""
    if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) not in {"self", "cls"}:
        yield ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
        named = node.args[1] if len(node.args) > 1 else None
        if isinstance(named, ast.Constant) and _is_private(str(named.value)):
            yield str(named.value)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (name for name in _imported_names(node, module) if any(map(_is_private, name.split("."))))
        yield from (name for name in _imported_modules(node) if name not in _public_modules(name))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC_IN_SPITE


def _imported_modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules of libraries that an import names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if not node.level else []


def _public_modules(name: str) -> set[str]:
    return PUBLIC_MODULES.get(name.partition(".")[0], {name})


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
