-- The API of foundation: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.error_catalogue()', '{anon, authenticated, service_role}', 'standard');

select private.expose('private.replay_webhook(text, text)', '{authenticated}', 'strict');
select private.expose('private.webhook_totals()', '{authenticated}', 'standard');

-- Helpers of policies and triggers, and what the edge and the worker call.
-- A trigger refuses as the role whose statement fires it.
grant execute on function private.refuse(text, text[]) to anon, authenticated, service_role;
grant execute on function private.error_of(text) to anon, authenticated;
-- Checks of titles and names, which run as the role that writes.
grant execute on function private.normalise_compatible(text) to authenticated, service_role;
grant execute on function private.fold_text(text) to authenticated, service_role;
grant execute on function private.invisible_characters() to authenticated, service_role;
grant execute on function private.is_visible(text) to authenticated, service_role;
grant execute on function private.is_line(text, integer) to authenticated, service_role;
grant execute on function private.is_name(text, integer) to authenticated, service_role;
grant execute on function private.are_names(text[], integer) to authenticated, service_role;
grant execute on function private.requires_sign_in(text, text) to anon;
grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.request_id() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge, worker;
grant execute on function private.record_mail_result(bigint, private.mail_status, text) to worker;
grant execute on function private.claim_mail(bigint) to worker;
grant execute on function private.retry_webhooks() to worker;
grant execute on function private.removable_files() to worker, file_remover;
grant execute on function private.forget_removed_files(text[]) to worker;
grant execute on function private.purges() to worker;
grant execute on function private.purge(name) to worker;
grant execute on function private.lapses() to worker;
grant execute on function private.lapse(name) to worker;

grant execute on function private.is_active() to authenticated, service_role;
grant execute on function private.has_role(public.app_role) to authenticated, service_role;
-- require_role asks as its caller, to say which of the two is missing.
grant execute on function private.is_granted(public.app_role) to authenticated;
grant execute on function private.is_teacher() to authenticated, service_role;
grant execute on function private.require_active_account(uuid) to edge;
grant execute on function private.require_signed_in() to authenticated;
grant execute on function private.require_active() to authenticated;
grant execute on function private.require_role(public.app_role) to authenticated;

-- Exports call them as their caller.
grant execute on function private.csv_cell(text) to authenticated;
grant execute on function private.csv_file(text, text, text[]) to authenticated;

grant execute on function private.take_request_token() to anon, authenticated;
grant execute on function private.take_token(text, text) to edge;

grant execute on function private.receive_webhook(text, text, text, jsonb, boolean) to edge;
grant execute on function private.failed_webhooks() to authenticated;
