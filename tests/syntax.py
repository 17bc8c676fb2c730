"""What a source text imports, names and calls, for the rules of the house. Pure: nothing of the service is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec

Function = ast.FunctionDef | ast.AsyncFunctionDef
Import = ast.Import | ast.ImportFrom


@cache
def parsed(source: str) -> ast.Module:
    """The tree of a module. Many rules ask for it, and none changes it."""
    return ast.parse(source)


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a module."""
    return tuple(ast.walk(parsed(source)))


def functions(source: str) -> Iterator[Function]:
    """Every function and method of a module."""
    return (node for node in nodes(source) if isinstance(node, Function))


def imported_names(node: Import, module: str) -> list[str]:
    """What an import of ``module`` makes known, by full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        base = ".".join([*module.split(".")[: -node.level], base]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]


def own_imports(tree: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(importer, imported module) for every import between modules of the tree."""
    for module, source in tree.items():
        for node in nodes(source):
            if isinstance(node, Import):
                for name in imported_names(node, module):
                    target = name if name in tree else name.rpartition(".")[0]
                    if target.partition(".")[0] == "service":
                        yield module, target


def libraries(source: str) -> set[str]:
    """The packages of others that a module imports."""
    imports = [node for node in nodes(source) if isinstance(node, ast.Import)]
    found = {alias.name.partition(".")[0] for node in imports for alias in node.names}
    froms = [node for node in nodes(source) if isinstance(node, ast.ImportFrom) and not node.level]
    return found | {(node.module or "").partition(".")[0] for node in froms}


def library_modules(node: ast.AST) -> Iterator[str]:
    """The modules of libraries that an import, or a name with dots, reaches."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""
        yield from (name for name in imported_names(node, "") if _is_module(name))
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and _is_module(ast.unparse(node)):
        yield ast.unparse(node)


@cache
def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def reached_names(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    """(line, name) of what the code takes from others: attributes, also by their texts, and imports.

    What a class takes from another object of its own kind is its own.
    """
    own: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = set(_attributes(node))
            own |= {inner for inner in ast.walk(node) if isinstance(inner, ast.Attribute) and inner.attr in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node not in own:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
            yield from ((node.lineno, str(one.value)) for one in node.args[1:2] if isinstance(one, ast.Constant))
        elif isinstance(node, Import):
            for name in imported_names(node, module):
                parts = name.split(".")
                yield from ((node.lineno, ".".join(parts[: end + 1])) for end in range(len(parts)))


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    """The attributes and methods that a class gives itself."""
    for inner in node.body:
        if isinstance(inner, Function):
            yield inner.name
        elif isinstance(inner, ast.AnnAssign):
            yield ast.unparse(inner.target)
    for found in ast.walk(node):
        if isinstance(found, ast.Attribute) and isinstance(found.ctx, ast.Store) and ast.unparse(found.value) == "self":
            yield found.attr


def frozen_data(source: str) -> Iterator[str]:
    """Classes whose instances are values: a table of them is a constant."""
    for node in nodes(source):
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(decorator).startswith("dataclass(") and "frozen=True" in ast.unparse(decorator)
            for decorator in node.decorator_list
        ):
            yield node.name


def makers(source: str, values: set[str]) -> Iterator[str]:
    """Functions that say they answer such a value: the rows of a table."""
    for function in functions(source):
        if function.returns is not None and ast.unparse(function.returns) in values:
            yield function.name


def calls_at_import(source: str) -> Iterator[ast.Call]:
    """Calls that run when a module is imported; what stands in a function, a lambda or under ``__main__`` does not."""
    for statement in parsed(source).body:
        yield from _calls_of_statement(statement)


def _calls_of_statement(statement: ast.stmt) -> Iterator[ast.Call]:
    if isinstance(statement, Function | Import):
        return
    if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
        return
    if isinstance(statement, ast.ClassDef):
        for inner in statement.body:
            yield from _calls_of_statement(inner)
        return
    yield from _calls_in(statement)


def _calls_in(node: ast.AST) -> Iterator[ast.Call]:
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child)
