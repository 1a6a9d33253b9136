select private.close_table('private.webhook_inbox');

create policy webhook_inbox_all_nobody on private.webhook_inbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: receive_webhook writes it
