select private.close_table('private.quiz_attempt_records');

create policy quiz_attempt_records_all_nobody on private.quiz_attempt_records
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: grading writes it, attempt_questions and attempt_feedback read it
