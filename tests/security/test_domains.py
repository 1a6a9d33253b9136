"""No function, view, trigger, foreign key or policy of a domain names a table or function of a later domain."""

import psycopg
import pytest

from stack.paths import ROOT
from tests.security.domain_order import ORDER, misplaced, read_owners

FIX = """
Mend each by one of these:
- move the object to the domain that owns what it names;
- have the later domain register a function, private.<point>__<what>, which private.registered_functions finds;
- have the later domain hang a trigger on the table of the earlier one.
"""


def test_no_domain_names_a_later_one(live: psycopg.Connection) -> None:
    found = list(misplaced(live, read_owners(ROOT)))
    assert not found, "\n".join([*found, FIX])


def test_migrations_keep_the_order_of_domains() -> None:
    assert read_owners(ROOT).domains.names == tuple(
        domain for domain in ORDER if domain in read_owners(ROOT).domains.names
    )


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (
            "create or replace function private.is_active() returns boolean language sql set search_path = ''"
            " as 'select exists (select from public.orders)'",
            "foundation: function private.is_active names public.orders of commerce",
        ),
        (
            "drop view public.user_accounts cascade; create view public.user_accounts with (security_invoker = true) as"
            " select a.user_id from public.accounts as a join public.enrolments as e on e.student_id = a.user_id",
            "identity: view public.user_accounts names public.enrolments of learning",
        ),
        (
            "alter table public.profiles drop constraint profiles_id_fkey;"
            " alter table public.profiles add constraint profiles_id_fkey foreign key (id)"
            " references public.orders (id) not valid",
            "identity: foreign key profiles_id_fkey names public.orders of commerce",
        ),
        (
            "drop trigger _200_set_updated_at on public.profiles;"
            " create trigger _200_set_updated_at before update on public.profiles"
            " for each row execute function private.tg_orders__snapshot()",
            "identity: trigger _200_set_updated_at on public.profiles names private.tg_orders__snapshot of commerce",
        ),
        (
            "alter policy audit_log_select_admin on public.audit_log"
            " using (exists (select from public.courses as c where c.creator_id = actor_id))",
            "foundation: policy audit_log_select_admin on public.audit_log names public.courses of catalog",
        ),
        (
            "create function private.planted() returns integer language sql return 1",
            "function private.planted is in no migration or policy file of a domain",
        ),
    ],
)
def test_a_violation_is_found(scratch: psycopg.Connection, planted: str, found: str) -> None:
    scratch.execute(planted.encode())
    assert found in misplaced(scratch, read_owners(ROOT))
