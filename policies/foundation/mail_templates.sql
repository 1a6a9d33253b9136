select private.close_table('private.mail_templates');

create policy mail_templates_all_nobody on private.mail_templates for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it
