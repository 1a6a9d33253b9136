"""The embedded local Supabase: Postgres, PostgREST, auth, storage, gateway and mailbox on loopback.

For local work, tests and small single-machine installs. The same project deploys to Supabase unchanged.
"""
