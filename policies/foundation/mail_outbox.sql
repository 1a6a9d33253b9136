select private.close_table('private.mail_outbox');

create policy mail_outbox_all_nobody on private.mail_outbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: enqueue_mail, claim_mail and record_mail_result write it
