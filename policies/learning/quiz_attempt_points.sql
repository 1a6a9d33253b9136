select private.close_table('private.quiz_attempt_points');

create policy quiz_attempt_points_all_nobody on private.quiz_attempt_points
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: grading writes it, attempt_feedback reads it
