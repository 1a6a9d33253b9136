"""The auth server of the embedded stack: the HTTP contract of Supabase Auth (GoTrue) that the official clients call.

It keeps its state in the database's schema `auth`, as Supabase does, so that a restart loses nothing. The gateway
strips `/auth/v1`, so paths here begin at the root. It is for local work and small single-machine installs.
"""
