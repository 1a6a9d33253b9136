select private.close_table('private.quiz_answer_keys');

create policy quiz_answer_keys_all_nobody on private.quiz_answer_keys for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: save_quiz_question writes it, grading and the function quiz_answer_keys read it
