"""The auth server of the embedded stack: the HTTP contract of Supabase Auth (GoTrue) that the official clients call.

It keeps everything in the database's schema `auth`, as Supabase does, and nothing in the process that a restart may not
lose. The gateway strips `/auth/v1`, so paths here begin at the root. For local work and small single-machine installs.
"""
