-- Learning: regrading. A teacher who mends the key of a question regrades the attempts that were asked it. The worker
-- does them one by one; each keeps what it was asked, and a record says what changed.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'question_deleted', 409,
    'The question is deleted, so it has no key to regrade by.',
    'Send gives_full_points to give everybody its points.',
    null
);

create table public.quiz_regrades (
    id uuid not null default gen_random_uuid() constraint quiz_regrades_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null,
    question_id uuid not null,
    key_version_id uuid constraint quiz_regrades_key_version_id_fkey
    references private.quiz_question_versions (id) on delete cascade,
    reason text not null constraint quiz_regrades_reason_check check (char_length(reason) <= 1000),
    requested_by uuid not null
    constraint quiz_regrades_requested_by_fkey references public.profiles (id) on delete restrict,
    last_attempt_id uuid,
    attempt_count integer not null default 0,
    changed_count integer not null default 0,
    newly_passed_count integer not null default 0,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint quiz_regrades_quiz_id_fkey foreign key (quiz_id, course_id)
    references public.quizzes (id, course_id) on delete cascade
);
comment on table public.quiz_regrades is
'Regrades of questions: who, when, why, by which key. The creator of the course and moderators read them; students read
quiz_attempt_regrades. regrade_question and the worker write it, and nothing changes a finished one.';
comment on column public.quiz_regrades.question_id is 'The question. No foreign key: it may be deleted.';
comment on column public.quiz_regrades.key_version_id is
'The version of the question whose key and points count now; null where everybody got the points.';
comment on column public.quiz_regrades.reason is 'Why, in the words of who requested it.';
comment on column public.quiz_regrades.requested_by is 'The creator of the course, or an admin.';
comment on column public.quiz_regrades.last_attempt_id is 'The attempt that the worker did last, in the order of ids.';
comment on column public.quiz_regrades.attempt_count is 'How many attempts were asked the question.';
comment on column public.quiz_regrades.changed_count is 'How many of them have other points now.';
comment on column public.quiz_regrades.newly_passed_count is 'How many of them pass now and did not before.';
comment on column public.quiz_regrades.finished_at is
'When the worker did the last attempt, or a later regrade of the question replaced it; null while it works.';
comment on constraint quiz_regrades_reason_check on public.quiz_regrades is 'A reason has at most 1,000 characters.';
alter table public.quiz_regrades enable row level security;
revoke all on public.quiz_regrades from anon, authenticated, service_role;
create index quiz_regrades_quiz_id_course_id_idx on public.quiz_regrades (quiz_id, course_id, created_at desc);
comment on index public.quiz_regrades_quiz_id_course_id_idx is
'The regrades of a quiz: quiz_id=eq.&order=created_at.desc, and the foreign key';
create index quiz_regrades_course_id_idx on public.quiz_regrades (course_id);
comment on index public.quiz_regrades_course_id_idx is 'The policies';
create index quiz_regrades_key_version_id_idx on public.quiz_regrades (key_version_id);
comment on index public.quiz_regrades_key_version_id_idx is 'The foreign key';
create index quiz_regrades_requested_by_idx on public.quiz_regrades (requested_by);
comment on index public.quiz_regrades_requested_by_idx is 'The foreign key';

create table public.quiz_attempt_regrades (
    attempt_id uuid not null
    constraint quiz_attempt_regrades_attempt_id_fkey references public.quiz_attempts (id) on delete cascade,
    regrade_id uuid not null
    constraint quiz_attempt_regrades_regrade_id_fkey references public.quiz_regrades (id) on delete cascade,
    course_id uuid not null,
    student_id uuid not null
    constraint quiz_attempt_regrades_student_id_fkey references public.profiles (id) on delete restrict,
    question_id uuid not null,
    points_before numeric not null,
    points_after numeric not null,
    max_points_before integer not null,
    max_points_after integer not null,
    is_passed_before boolean not null,
    is_passed_after boolean not null,
    created_at timestamptz not null default now(),
    constraint quiz_attempt_regrades_pkey primary key (attempt_id, regrade_id)
);
comment on table public.quiz_attempt_regrades is
'What regrades changed, one row for each attempt whose points changed: before and after. Students read those of their
attempts, the creator those of the course, moderators all. The worker writes it, and nothing changes it.';
comment on column public.quiz_attempt_regrades.question_id is 'The question whose key was mended.';
comment on column public.quiz_attempt_regrades.points_before is 'The points of the whole attempt before.';
comment on column public.quiz_attempt_regrades.points_after is 'The points of the whole attempt after.';
comment on column public.quiz_attempt_regrades.max_points_before is 'The points of all its questions before.';
comment on column public.quiz_attempt_regrades.max_points_after is 'The points of all its questions after.';
comment on column public.quiz_attempt_regrades.is_passed_before is 'Whether it passed before.';
comment on column public.quiz_attempt_regrades.is_passed_after is
'Whether it passes now. A pass that was earned stays, whatever the points are now.';
alter table public.quiz_attempt_regrades enable row level security;
revoke all on public.quiz_attempt_regrades from anon, authenticated, service_role;
create index quiz_attempt_regrades_regrade_id_idx on public.quiz_attempt_regrades (regrade_id);
comment on index public.quiz_attempt_regrades_regrade_id_idx is
'What a regrade changed: regrade_id=eq., and the foreign key';
create index quiz_attempt_regrades_student_id_idx on public.quiz_attempt_regrades (student_id, created_at desc);
comment on index public.quiz_attempt_regrades_student_id_idx is
'The regrades of a student: student_id=eq.&order=created_at.desc, the policies and the foreign key';
create index quiz_attempt_regrades_course_id_idx on public.quiz_attempt_regrades (course_id);
comment on index public.quiz_attempt_regrades_course_id_idx is 'The policies, for creators';

create function private.regrade_question(
    p_quiz_id uuid, p_question_id uuid, p_reason text, p_gives_full_points boolean default false
)
returns public.quiz_regrades
language plpgsql
security definer -- clients may not write regrades
set search_path = ''
as $$
declare
    v_course_id uuid := private.require_own_quiz(p_quiz_id);
    v_key_version_id uuid;
    v_regrade public.quiz_regrades;
begin
    perform private.require_reason(p_reason);
    perform private.require_decision(p_gives_full_points);
    -- Waits for attempts that are beginning with the key as it was.
    perform from public.quizzes as q where q.id = p_quiz_id for update;
    if exists (
        select from public.quiz_questions as q where q.id = p_question_id and q.quiz_id = p_quiz_id
    ) then
        v_key_version_id := case
            when not p_gives_full_points then (private.keep_question_versions(array[p_question_id]))[1]
        end;
    elsif not exists (
        select from private.quiz_question_versions as v where v.question_id = p_question_id and v.quiz_id = p_quiz_id
    ) then
        perform private.refuse('question_not_found');
    elsif not p_gives_full_points then
        perform private.refuse('question_deleted');
    end if;
    -- What an earlier regrade of the question has not reached yet, this one does.
    update public.quiz_regrades as r set finished_at = now()
    where r.question_id = p_question_id and r.quiz_id = p_quiz_id and r.finished_at is null;
    insert into public.quiz_regrades as r (quiz_id, course_id, question_id, key_version_id, reason, requested_by)
    values (p_quiz_id, v_course_id, p_question_id, v_key_version_id, p_reason, (select auth.uid()))
    returning r.* into v_regrade;
    if not exists (
        select from public.courses as c where c.id = v_course_id and c.creator_id = (select auth.uid())
    ) then
        perform private.audit('quiz.regrade', 'quizzes', p_quiz_id::text, null, to_jsonb(v_regrade));
    end if;
    perform private.defer_job('regrade_attempts', jsonb_build_object('regrade_id', v_regrade.id));
    return v_regrade;
end
$$;
comment on function private.regrade_question(uuid, uuid, text, boolean) is
'Regrades all attempts that were asked a question by its key and points as they are now; with gives_full_points,
everybody gets its points. Returns the regrade; the worker does it, and quiz_regrades.finished_at says when it is done.
Attempts keep what they were asked; those that were asked another kind of question or other options stay as they are.
Points rise and fall, but a pass that was earned stays, and with it certificate and completion. An attempt that passes
now earns both, unless a person decided otherwise: a rejected or revoked certificate stays so, and a cancelled student
gets none. An admin''s regrade is audited. For the creator of the course and admins. Raises course_not_found or
question_not_found (404), question_deleted (409), decision_missing or reason_missing (422).';

create function private.regrade_attempt(
    p_attempt public.quiz_attempts, p_quiz public.quizzes, p_regrade public.quiz_regrades
)
returns public.quiz_attempts
language plpgsql
set search_path = ''
as $$
declare
    v_position integer := array_position(p_attempt.question_ids, p_regrade.question_id);
    v_record private.quiz_attempt_records;
    v_attempt public.quiz_attempts;
begin
    select r.* into v_record from private.quiz_attempt_records as r where r.attempt_id = p_attempt.id;
    if not exists (
        select from private.quiz_question_versions as a
        left join private.quiz_question_versions as k on k.id = p_regrade.key_version_id
        where a.id = v_record.asked_version_ids[v_position] and (
                k.id is null
                or (
                    k.kind = a.kind
                    and (select coalesce(jsonb_agg(o.item -> 'id'), '[]') from jsonb_array_elements(k.options) as o (item))
                    @> (select coalesce(jsonb_agg(o.item -> 'id'), '[]') from jsonb_array_elements(a.options) as o (item))
                )
            )
    ) then
        return p_attempt;
    end if;
    v_record.key_version_ids[v_position] := p_regrade.key_version_id;
    if p_attempt.status <> 'in_progress' then
        v_record := private.judge_attempt(p_attempt, v_record);
    end if;
    update private.quiz_attempt_records as r
    set
        key_version_ids = v_record.key_version_ids, points = v_record.points, max_points = v_record.max_points,
        is_correct = v_record.is_correct
    where r.attempt_id = p_attempt.id;
    if p_attempt.status = 'in_progress' then
        return p_attempt;
    end if;
    update public.quiz_attempts as a
    set
        points = (select trim_scale(greatest(0, sum(p.points))) from unnest(v_record.points) as p (points)),
        max_points = (select sum(p.points) from unnest(v_record.max_points) as p (points)),
        is_pass_kept = a.is_passed,
        regraded_at = now()
    where a.id = p_attempt.id
    returning a.* into v_attempt;
    if (v_attempt.points, v_attempt.max_points) is distinct from (p_attempt.points, p_attempt.max_points) then
        insert into public.quiz_attempt_regrades (
            attempt_id, regrade_id, course_id, student_id, question_id, points_before, points_after, max_points_before,
            max_points_after, is_passed_before, is_passed_after
        )
        values (
            v_attempt.id, p_regrade.id, v_attempt.course_id, v_attempt.student_id, p_regrade.question_id,
            p_attempt.points, v_attempt.points, p_attempt.max_points, v_attempt.max_points, p_attempt.is_passed,
            v_attempt.is_passed
        );
    end if;
    if v_attempt.is_passed and not p_attempt.is_passed then
        perform private.record_pass(v_attempt, p_quiz.is_certifying);
    end if;
    return v_attempt;
end
$$;
comment on function private.regrade_attempt(public.quiz_attempts, public.quizzes, public.quiz_regrades) is
'Judges an attempt by the key of a regrade, and returns it; one that is in progress will be judged by it. Leaves an
attempt as it is that was asked another kind of question, or options that the question has no more. Its caller has
locked the quiz and the enrolment.';

create function private.regrade_next_attempt(p_regrade_id uuid) returns boolean
language plpgsql
security definer -- the worker reads and writes no table
set search_path = ''
as $$
declare
    v_regrade public.quiz_regrades;
    v_quiz public.quizzes;
    v_before public.quiz_attempts;
    v_after public.quiz_attempts;
begin
    select r.* into v_regrade from public.quiz_regrades as r where r.id = p_regrade_id and r.finished_at is null;
    if not found then
        return false;
    end if;
    select a.* into v_before from public.quiz_attempts as a
    where a.quiz_id = v_regrade.quiz_id and a.question_ids @> array[v_regrade.question_id]
        and (v_regrade.last_attempt_id is null or a.id > v_regrade.last_attempt_id)
    order by a.id limit 1;
    if not found then
        update public.quiz_regrades as r set finished_at = now() where r.id = p_regrade_id and r.finished_at is null;
        return false;
    end if;
    -- First the quiz, as regrade_question does.
    v_quiz := private.lock_quiz_for(v_before.quiz_id, v_before.student_id);
    perform from public.quiz_regrades as r
    where
        r.id = p_regrade_id and r.finished_at is null
        and r.last_attempt_id is not distinct from v_regrade.last_attempt_id
    for no key update;
    if not found then
        return true; -- a later regrade has replaced it, or another worker has done this attempt
    end if;
    perform from public.enrolments as e where e.id = v_before.enrolment_id for no key update;
    -- Again: it may have been handed in meanwhile.
    select a.* into v_before from public.quiz_attempts as a where a.id = v_before.id;
    v_after := private.regrade_attempt(v_before, v_quiz, v_regrade);
    update public.quiz_regrades as r
    set
        last_attempt_id = v_before.id,
        attempt_count = r.attempt_count + 1,
        changed_count = r.changed_count
            + ((v_after.points, v_after.max_points) is distinct from (v_before.points, v_before.max_points))::integer,
        newly_passed_count = r.newly_passed_count + (v_after.is_passed and not v_before.is_passed)::integer
    where r.id = p_regrade_id;
    return true;
end
$$;
comment on function private.regrade_next_attempt(uuid) is
'Regrades the next attempt of a regrade; returns false, and finishes it, where none is left. For the worker, which calls
it until then, each time in a transaction of its own.';
