grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.request_id() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge, worker;
grant execute on function private.settle_mail(bigint, private.mail_status, text) to worker;
grant execute on function private.purge_mail() to worker;
