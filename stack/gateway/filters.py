"""Refuses writes without a filter, as Postgres' extension safeupdate does on Supabase.

Supabase preloads safeupdate for the role with which PostgREST connects. The embedded Postgres has no such extension,
so the gateway, through which every client reaches PostgREST, looks for a filter in the query instead.
"""

import re
from urllib.parse import unquote_plus

from stack.gateway.errors import GatewayError

VERBS = {"DELETE": "DELETE", "PATCH": "UPDATE"}
"""The methods that write the rows that a filter finds, and what Postgres calls them."""
OTHER_PURPOSES = frozenset({"select", "columns", "on_conflict", "order", "limit", "offset"})
"""Parameters that filter nothing."""
LOGIC = frozenset({"and", "or", "not.and", "not.or"})
OF_EMBEDDED = (".order", ".limit", ".offset", ".and", ".or")
"""How parameters end that PostgREST takes for those of an embedded table, whatever stands before."""
COLUMN = re.compile(r'(?:"[^"]+"|[^".]+?)(?:->.*)?', re.DOTALL)
"""A column of the table itself, perhaps with a path into its JSON. With a dot, it is one of an embedded table."""
SEPARATORS = re.compile("[&;]")


def require_filter(method: str, query: str) -> None:
    """Refuse a request to PostgREST that would write every row of a table.

    Args:
        method: the method of the request.
        query: the query of its address, as it was sent.

    Raises:
        GatewayError: the request writes, and its query filters no rows of the table itself.
    """
    verb = VERBS.get(method)
    if verb is not None and not any(map(_is_filter, SEPARATORS.split(query))):
        raise GatewayError(400, "21000", f"{verb} requires a WHERE clause")


def _is_filter(parameter: str) -> bool:
    """Whether a parameter filters rows of the table: PostgREST ignores one without `=`, and refuses an empty value."""
    name, equals, _ = parameter.partition("=")
    name = unquote_plus(name)
    if not equals or name in OTHER_PURPOSES:
        return False
    return name in LOGIC or (not name.endswith(OF_EMBEDDED) and COLUMN.fullmatch(name) is not None)
