"""`./guildhall explain`: which privilege and which policy lets a user's request through, and which rows it hides.

A PostgREST of its own, whose transactions are rolled back, makes the request, so nothing changes. A second one, which
row level security does not bind, finds the rows that match the filters. Each policy that applies is then evaluated for
each of those rows with the user's role and claims, so that lookups inside a policy see what the user would see. No
policy and no table is changed.
"""

from stack.explain.inquiry import explain
from stack.explain.report import Report
from stack.explain.text import as_text

__all__ = ["Report", "as_text", "explain"]
