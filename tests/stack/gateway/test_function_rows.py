"""Calls of functions that filter or sort by columns which they do not select."""

import pytest

from stack.gateway.function_rows import remove_added_columns, select_needed_columns
from tests.stack.gateway.support import Gateway

JSON = "application/json"


@pytest.mark.parametrize(
    ("query", "added"),
    [
        ("q=a&select=title", []),
        ("q=a&status=eq.published", []),
        ("select=*,creator(handle)&status=eq.published", []),
        ("select=title,status&status=eq.published&order=title", []),
        ("q=is.gd&select=title&status=eq.published", ["status"]),
        ("select=title&status=not.in.(a,b)&status=neq.c&title=fts(simple).x", ["status"]),
        ("select=status:title&status=is.null", ["status"]),
        ("select=a->b,c::text&a->>d=eq.1&c=like(any).{x,y}", []),
        ("select=title&order=created_at.desc.nullslast,meta->x->>y,title.asc,creator(handle)", ["created_at", "meta"]),
        ("select=title,creator:profiles!c(id,name)&creator=not.is.null&creator.name=eq.x&creator.order=name", []),
        ("select=t&or=(a.eq.1,and(b.in.(1,2),not.or(c.is.null,d.cs.%7Be,f%7D)),t.eq.1)", ["a", "b", "c", "d"]),
        ("select=t&not.and=(a.eq.%22x,b.eq.1)%22,c.not.eq.2)", ["a", "c"]),
        ("select=t&%22o,o%22=eq.1&limit=1&offset=2", ["%22o,o%22"]),
    ],
)
def test_missing_columns_are_selected(query: str, added: list[str]) -> None:
    select, _, rest = query.partition("select=")[2].partition("&")
    expected = select + "".join(f",_unselected_{number}:{column}" for number, column in enumerate(added))
    if not added:
        assert select_needed_columns("/rpc/search", query, JSON) == query
    else:
        assert select_needed_columns("/rpc/search", query, JSON) == query.replace(
            f"select={select}&{rest}", f"select={expected}&{rest}"
        )
    assert select_needed_columns("/courses", query, JSON) == query
    assert select_needed_columns("/rpc/search", query, "text/csv") == query


def test_only_calls_of_functions_are_changed(gateway: Gateway) -> None:
    query = "select=title&status=eq.published"
    for path, sent in (("rpc/search", f"{query.replace('title', 'title,_unselected_0:status')}"), ("courses", query)):
        echo = gateway.http.get(f"/rest/v1/{path}?{query}", headers=gateway.publishable).json()
        assert echo["target"] == f"/{path}?{sent}"


def test_added_columns_leave_the_answer() -> None:
    rows = b'[{"a":1.50,"_unselected_0":null,"b":{"c":"\\u00e9"}}, \n {"a":2}]'
    assert remove_added_columns(rows) == b'[{"a":1.50,"b":{"c":"\\u00e9"}},{"a":2}]'
    assert remove_added_columns(rows[1:51]) == b'{"a":1.50,"b":{"c":"\\u00e9"}}'
    assert remove_added_columns(b"[1, 2]") == b"[1, 2]"
