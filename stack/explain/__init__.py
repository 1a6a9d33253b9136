"""`./guildhall explain`: which privilege and which policy lets somebody's request through, and which rows it hides.

The request is made for real, by a PostgREST of its own whose transactions are rolled back, so nothing changes. A
second one, which row level security does not bind, says which rows fit the filters at all. Each policy that counts is
then asked about each of those rows, as the person: with the person's role and claims, so that whatever a policy looks
up is looked up as that person would see it. No policy and no table is touched.
"""

from stack.explain.inquiry import explain
from stack.explain.report import Report
from stack.explain.text import written

__all__ = ["Report", "explain", "written"]
