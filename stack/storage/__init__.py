"""The storage server: the Supabase Storage HTTP contract over files on disk and rows in `storage.objects`.

Row level security decides: every call runs as the role of the caller's token, so the policies of the migrations are
its whole authorization. An object's name never becomes a file system path. The server is plain ASGI, since object names
are arbitrary paths, which a router would normalise, and bodies are streams.
"""
