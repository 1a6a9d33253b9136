"""One origin with Supabase's paths in front of PostgREST, auth, storage, and the project's own functions."""
