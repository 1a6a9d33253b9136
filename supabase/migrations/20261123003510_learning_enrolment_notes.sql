-- Learning: notes of creators about students.

create table public.enrolment_notes (
    enrolment_id uuid constraint enrolment_notes_pkey primary key,
    course_id uuid not null,
    student_id uuid not null,
    body text not null default '' constraint enrolment_notes_body_check check (char_length(body) <= 10000),
    is_at_risk boolean not null default false,
    at_risk_reason text constraint enrolment_notes_at_risk_reason_check check (char_length(at_risk_reason) <= 1000),
    flagged_at timestamptz,
    flagged_by uuid
    constraint enrolment_notes_flagged_by_fkey references public.profiles (id) on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint enrolment_notes_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    -- So that PostgREST embeds one row of notes in an enrolment, and not a list.
    constraint enrolment_notes_enrolment_id_course_id_student_id_key unique (enrolment_id, course_id, student_id),
    constraint enrolment_notes_flagged_at_check check (is_at_risk = (flagged_at is not null)),
    constraint enrolment_notes_flag_check check (is_at_risk or (at_risk_reason is null and flagged_by is null))
);
comment on table public.enrolment_notes is
'Notes of the creator of a course about a student, and whether the student is at risk: one row an enrolment, written by
upsert. The student cannot read it; the assigned student-teacher and moderators can. Admins write it, too, and the audit
log records that.';
comment on column public.enrolment_notes.course_id is 'The course of its enrolment; the database sets it.';
comment on column public.enrolment_notes.student_id is 'The student of its enrolment; the database sets it.';
comment on column public.enrolment_notes.body is 'The notes, in Markdown.';
comment on column public.enrolment_notes.is_at_risk is 'Whether the student is at risk of giving up.';
comment on column public.enrolment_notes.at_risk_reason is 'Why; cleared with is_at_risk.';
comment on column public.enrolment_notes.flagged_at is 'When is_at_risk became true; the database sets it.';
comment on column public.enrolment_notes.flagged_by is
'The person who set is_at_risk, or null for the system; the database sets it.';
comment on constraint enrolment_notes_pkey on public.enrolment_notes is 'This enrolment already has notes.';
comment on constraint enrolment_notes_enrolment_id_course_id_student_id_key on public.enrolment_notes is
'This enrolment already has notes.';
comment on constraint enrolment_notes_enrolment_id_fkey on public.enrolment_notes is 'There is no such enrolment.';
comment on constraint enrolment_notes_body_check on public.enrolment_notes is 'Notes have at most 10,000 characters.';
comment on constraint enrolment_notes_at_risk_reason_check on public.enrolment_notes is
'The reason of a risk has at most 1,000 characters.';
comment on constraint enrolment_notes_flagged_at_check on public.enrolment_notes is
'A student at risk has the instant of the flag, and others have none.';
comment on constraint enrolment_notes_flag_check on public.enrolment_notes is
'Only a student at risk has a reason and the person who set the flag.';
alter table public.enrolment_notes enable row level security;
revoke all on public.enrolment_notes from anon, authenticated, service_role;
create index enrolment_notes_course_id_idx on public.enrolment_notes (course_id);
comment on index public.enrolment_notes_course_id_idx is 'The notes of a course: course_id=eq., and the policies';
create index enrolment_notes_at_risk_idx on public.enrolment_notes (course_id) where is_at_risk;
comment on index public.enrolment_notes_at_risk_idx is
'The students at risk of a course: course_id=eq.&is_at_risk=is.true';
create index enrolment_notes_flagged_by_idx on public.enrolment_notes (flagged_by);
comment on index public.enrolment_notes_flagged_by_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.enrolment_notes
for each row execute function private.tg__set_updated_at();

create function private.tg_enrolment_notes__set_enrolment() returns trigger
language plpgsql
security definer -- must read every enrolment; the policy checks the caller
set search_path = ''
as $$
begin
    new.course_id := null;
    new.student_id := null;
    select e.course_id, e.student_id into new.course_id, new.student_id
    from public.enrolments as e where e.id = new.enrolment_id;
    return new;
end
$$;
comment on function private.tg_enrolment_notes__set_enrolment() is
'Before an insert or update: sets the course and the student of the enrolment.';
create trigger _050_set_enrolment before insert or update of enrolment_id, course_id, student_id
on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__set_enrolment();

create function private.tg_enrolment_notes__set_flagged() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if not new.is_at_risk then
        new.at_risk_reason := null;
        new.flagged_at := null;
        new.flagged_by := null;
    elsif tg_op = 'INSERT' or not old.is_at_risk then
        new.flagged_at := now();
        new.flagged_by := (select auth.uid());
    end if;
    return new;
end
$$;
comment on function private.tg_enrolment_notes__set_flagged() is
'Before an insert or update: sets flagged_at and flagged_by with is_at_risk, and clears them without.';
create trigger _100_set_flagged before insert or update on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__set_flagged();

create function private.tg_enrolment_notes__audit_change() returns trigger
language plpgsql
security definer -- clients may not write the audit log
set search_path = ''
as $$
declare
    v_note public.enrolment_notes := coalesce(new, old);
begin
    if exists (
        select from public.courses as c where c.id = v_note.course_id and c.creator_id <> (select auth.uid())
    ) then
        perform private.audit(
            'enrolment_note.' || lower(tg_op), 'enrolment_notes', v_note.enrolment_id::text,
            case when old.enrolment_id is not null then jsonb_build_object('is_at_risk', old.is_at_risk) end,
            case when new.enrolment_id is not null then jsonb_build_object('is_at_risk', new.is_at_risk) end
        );
    end if;
    return null;
end
$$;
comment on function private.tg_enrolment_notes__audit_change() is
'After an admin writes notes in a course of somebody else: records that, and is_at_risk; not the notes, which are
deleted with the enrolment, while the audit log stays.';
create trigger _900_audit_change after insert or update or delete on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__audit_change();
