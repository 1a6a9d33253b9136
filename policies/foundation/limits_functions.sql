grant execute on function private.take_request_token() to anon, authenticated;
grant execute on function private.take_token(text, text) to edge;
grant execute on function private.purge_rate_buckets() to worker;
