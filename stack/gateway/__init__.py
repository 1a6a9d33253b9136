"""One origin with Supabase's paths in front of PostgREST, auth, storage and the edge."""
