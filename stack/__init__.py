"""The embedded local Supabase: Postgres, PostgREST, auth, storage, gateway, mailbox and doubles of providers.

For local work, tests and small single-machine installs. The same project deploys to Supabase unchanged.
"""
