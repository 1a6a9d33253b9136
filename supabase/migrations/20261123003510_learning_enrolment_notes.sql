-- Learning: what those who teach note about a student, for themselves.

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
    -- PostgREST embeds one row of notes in an enrolment, not a list.
    constraint enrolment_notes_enrolment_id_course_id_student_id_key unique (enrolment_id, course_id, student_id),
    constraint enrolment_notes_flagged_at_check check (is_at_risk = (flagged_at is not null)),
    constraint enrolment_notes_flag_check check (is_at_risk or (at_risk_reason is null and flagged_by is null))
);
comment on table public.enrolment_notes is
'What the creator of a course notes about a student of it, and whether he fears for him: one row an enrolment, written
by upsert. The student never reads it; the assigned student-teacher and moderators do. Admins write it, too, and the
audit log records that.';
comment on column public.enrolment_notes.course_id is 'Its enrolment''s course; set by the database.';
comment on column public.enrolment_notes.student_id is 'Its enrolment''s student; set by the database.';
comment on column public.enrolment_notes.body is 'The notes, Markdown.';
comment on column public.enrolment_notes.is_at_risk is 'Whether the student may give up.';
comment on column public.enrolment_notes.at_risk_reason is 'Why; goes with the flag.';
comment on column public.enrolment_notes.flagged_at is 'Since when the student is flagged; set by the database.';
comment on column public.enrolment_notes.flagged_by is
'Who flagged him; set by the database; null where the system did.';
alter table public.enrolment_notes enable row level security;
revoke all on public.enrolment_notes from anon, authenticated, service_role;
create index enrolment_notes_course_id_idx on public.enrolment_notes (course_id);
comment on index public.enrolment_notes_course_id_idx is 'A course''s notes: course_id=eq., and the policies';
create index enrolment_notes_at_risk_idx on public.enrolment_notes (course_id) where is_at_risk;
comment on index public.enrolment_notes_at_risk_idx is 'A course''s students at risk: course_id=eq.&is_at_risk=is.true';
create index enrolment_notes_flagged_by_idx on public.enrolment_notes (flagged_by);
comment on index public.enrolment_notes_flagged_by_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.enrolment_notes
for each row execute function private.tg__set_updated_at();

create function private.tg_enrolment_notes__set_enrolment() returns trigger
language plpgsql
security definer -- whether the caller may write about that enrolment, the policy says
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
'Before insert or update: the notes belong to their enrolment''s course and student.';
create trigger _050_set_enrolment before insert or update of enrolment_id, course_id, student_id
on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__set_enrolment();

create function private.tg_enrolment_notes__date_flag() returns trigger
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
comment on function private.tg_enrolment_notes__date_flag() is
'Before insert or update: since when a student is flagged, and by whom; nothing of it once he is not.';
create trigger _100_date_flag before insert or update on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__date_flag();

create function private.tg_enrolment_notes__audit_change() returns trigger
language plpgsql
security definer -- the audit log is closed to clients
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
'After an admin changed the notes on a course that is not his: that he did, and the flag; no word of the notes, for
these go with the enrolment, and the audit log stays.';
create trigger _900_audit_change after insert or update or delete on public.enrolment_notes
for each row execute function private.tg_enrolment_notes__audit_change();
