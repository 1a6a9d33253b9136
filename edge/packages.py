"""The packages of the edge and of the worker, one line each.

A package is a folder of this name that has some of these modules:

- `routes`, whose `PACKAGE` (`edge.http.package.HttpPackage`) the edge serves;
- `tasks`, whose `PACKAGE` (`edge.worker.package.WorkerPackage`) the worker runs;
- `errors`, whose `ERRORS` join the catalogue of both.

Each process imports only the modules of its own half.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.errors import ErrorDefinition
    from edge.http.package import HttpPackage
    from edge.worker.package import WorkerPackage

PACKAGES = (
    "accounts",
    "documents",
    "downloads",
    "files",
    "identities",
    "learning",
    "mail",
    "media",
    "payments",
    "retention",
    "views",
    "webhooks",
)


def http_packages() -> "list[HttpPackage]":
    """What each package adds to the edge."""
    return [module.PACKAGE for module in _modules("routes")]


def worker_packages() -> "list[WorkerPackage]":
    """What each package adds to the worker."""
    return [module.PACKAGE for module in _modules("tasks")]


def errors() -> "list[ErrorDefinition]":
    """The errors of all packages."""
    return [definition for module in _modules("errors") for definition in module.ERRORS]


def _modules(name: str) -> Iterator[ModuleType]:
    for package in PACKAGES:
        path = f"edge.{package}.{name}"
        if find_spec(path) is not None:
            yield import_module(path)
