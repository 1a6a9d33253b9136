"""The storage server: the Supabase Storage HTTP contract over files on disk and rows in `storage.objects`.

Row level security decides: every call runs as the role that the caller's token names, so the policies of the
migrations are the whole of its authorization. Names of objects never become file system paths. It is plain ASGI, since
object names are arbitrary paths that a router would tidy, and bodies are streams.
"""
