"""What the code of a route can reach: the errors that it raises, and the functions of the database that it calls.

The answer comes from the source of `edge/`: functions that are named, functions of imported modules, and methods of the
classes that a module imports or defines. What a variable names is not seen.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from edge.errors import catalogue, database_errors
from edge.http.errors import answer
from edge.http.limits import Limits, limit, tier_of

DATABASE_CALLS = {"call", "call_all", "rpc"}
"""Methods whose first argument names a function of the database."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What functions can reach."""

    tokens: set[str]
    """Tokens of errors, that they name."""
    calls: set[str]
    """Functions of the database."""

    def errors(self) -> set[str]:
        """The tokens of all errors that they can end in."""
        functions = database_errors().functions
        return self.tokens | {token for name in self.calls for token in functions.get(name, ())}


class _Module(msgspec.Struct, frozen=True, kw_only=True):
    functions: dict[str, Function]
    methods: dict[str, list[Function]]
    """By name, of all classes."""
    imported: dict[str, tuple[str, str]]
    """Module and name of what is imported from edge, by its name here; the name is empty for a module."""


@cache
def _module(name: str) -> _Module:
    tree = ast.parse(inspect.getsource(import_module(name)))
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    methods: dict[str, list[Function]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            for method in statement.body:
                if isinstance(method, Function):
                    methods.setdefault(method.name, []).append(method)
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "edge":
            for alias in node.names:
                as_module = f"{node.module}.{alias.name}"
                known = (as_module, "") if as_module in sys.modules else (node.module or "", alias.name)
                imported[alias.asname or alias.name] = known
    return _Module(functions=functions, methods=methods, imported=imported)


def _used(module: str, node: ast.AST) -> Iterator[tuple[str, Function]]:
    """The functions of edge that an expression in a module may run, or hand over to be run."""
    here = _module(module)
    match node:
        case ast.Name(id=name):
            yield from _function(module, name)
        case ast.Attribute(value=ast.Name(id=name), attr=function) if here.imported.get(name, ("", "x"))[1] == "":
            yield from _function(here.imported[name][0], function)
        case ast.Attribute(attr=method):
            homes = {module} | {home for home, name in here.imported.values() if name}
            yield from ((home, node) for home in homes for node in _module(home).methods.get(method, ()))


def _function(module: str, name: str) -> Iterator[tuple[str, Function]]:
    here = _module(module)
    if name in here.functions:
        yield module, here.functions[name]
    elif name in here.methods:
        yield from ((module, node) for node in here.methods[name])
    elif name in here.imported and here.imported[name][1]:
        yield from _function(*here.imported[name])


def reached_from(roots: list[Callable[..., Any]]) -> Reached:
    """What some functions of edge, and all that they call, can reach."""
    todo = [each for root in roots for each in _function(root.__module__, root.__name__)]
    known = {**catalogue(), **database_errors().errors}
    seen, tokens, calls = set(), set(), set()
    while todo:
        module, function = todo.pop()
        if (module, function.lineno) in seen:
            continue
        seen.add((module, function.lineno))
        for node in (node for statement in function.body for node in ast.walk(statement)):
            match node:
                case ast.Constant(value=str(text)) if text in known:
                    tokens.add(text)
                case ast.Call(func=ast.Attribute(attr=method), args=[ast.Constant(value=str(name)), *_]) if (
                    method in DATABASE_CALLS
                ):
                    calls.add(name)
            todo += _used(module, node)
    return Reached(tokens=tokens, calls=calls)


def reached_by(handler: HTTPRouteHandler, method: str) -> Reached:
    """What a route can reach: its handler, and the guards, dependencies and exception handlers that serve it."""
    wanted = set(inspect.signature(handler.fn).parameters)
    dependencies = [each.dependency for name, each in handler.resolve_dependencies().items() if name in wanted]
    guards: list[Any] = [each for each in handler.resolve_guards() if each is not limit]
    if tier_of(handler, method):
        guards.append(Limits.take)
    translators = [each for each in handler.resolve_exception_handlers().values() if each is not answer]
    return reached_from([handler.fn, *dependencies, *guards, *translators])
