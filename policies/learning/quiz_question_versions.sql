select private.close_table('private.quiz_question_versions');

create policy quiz_question_versions_all_nobody on private.quiz_question_versions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: attempts and regrades keep versions, grading and attempt_feedback read them
