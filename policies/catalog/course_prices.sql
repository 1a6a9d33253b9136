select private.close_table('private.course_prices');

create policy course_prices_all_nobody on private.course_prices for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it
