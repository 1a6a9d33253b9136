-- Learning: reviews of courses, and the ratings that catalogues show.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'review_not_allowed', 403,
    'Students review a course of which they finished a lesson, whose enrolment holds, and which they do not teach.',
    'Finish a lesson first.',
    null
),
(
    'review_hidden', 409,
    'A moderator has hidden this review; its author may not change it.',
    'Read hidden_reason.',
    null
),
('review_not_found', 404, 'There is no such review, or it is not of your course.', 'Read course_reviews again.', null);

create table public.course_reviews (
    id uuid not null default gen_random_uuid() constraint course_reviews_pkey primary key,
    enrolment_id uuid not null,
    course_id uuid not null,
    student_id uuid not null,
    is_public boolean not null,
    rating smallint not null constraint course_reviews_rating_check check (rating between 1 and 5),
    body text not null default '' constraint course_reviews_body_check check (char_length(body) <= 4000),
    reply text constraint course_reviews_reply_check
    check (private.is_visible(reply) and char_length(reply) <= 4000),
    replied_at timestamptz,
    is_hidden boolean not null default false,
    hidden_reason text constraint course_reviews_hidden_reason_check check (char_length(hidden_reason) <= 1000),
    is_author_banned boolean not null default false,
    is_listed boolean not null generated always as (not is_hidden and not is_author_banned) stored,
    edited_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint course_reviews_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    constraint course_reviews_course_id_fkey foreign key (course_id, is_public)
    references public.course_stats (course_id, is_public) on update cascade on delete cascade,
    constraint course_reviews_enrolment_id_course_id_student_id_key unique (enrolment_id, course_id, student_id),
    constraint course_reviews_replied_at_check check ((reply is null) = (replied_at is null)),
    constraint course_reviews_hidden_check check (is_hidden = (hidden_reason is not null))
);
comment on table public.course_reviews is
'Reviews of courses: one a student and course. Everybody reads those of published courses that are not hidden; authors
read their own, creators those of their courses, moderators all. Only functions write it.';
comment on column public.course_reviews.is_public is 'Whether the course is published; the database keeps it.';
comment on column public.course_reviews.rating is 'From 1 to 5.';
comment on column public.course_reviews.body is 'What the author says about the course; may be empty.';
comment on column public.course_reviews.is_author_banned is 'Whether the account of the author is banned.';
comment on column public.course_reviews.is_listed is
'Whether course_stats counts it: it is not hidden, and its author is not banned.';
comment on column public.course_reviews.reply is 'What the creator of the course answers, or null.';
comment on column public.course_reviews.replied_at is 'When the creator last replied, or null.';
comment on column public.course_reviews.is_hidden is
'Whether a moderator hid it: then course_stats does not count it.';
comment on column public.course_reviews.hidden_reason is 'Why a moderator hid it; the author reads it.';
comment on column public.course_reviews.edited_at is 'When its author last changed it, or null.';
comment on constraint course_reviews_rating_check on public.course_reviews is 'A rating is from 1 to 5.';
comment on constraint course_reviews_body_check on public.course_reviews is
'A review has at most 4,000 characters.';
comment on constraint course_reviews_reply_check on public.course_reviews is
'A reply has from 1 to 4,000 characters.';
comment on constraint course_reviews_hidden_reason_check on public.course_reviews is
'The reason for hiding a review has at most 1,000 characters.';
alter table public.course_reviews enable row level security;
revoke all on public.course_reviews from anon, authenticated, service_role;
create index course_reviews_course_id_idx on public.course_reviews (course_id, created_at desc, id);
comment on index public.course_reviews_course_id_idx is
'The reviews of a course: course_id=eq.&order=created_at.desc,id, and the foreign key';
create index course_reviews_course_id_is_public_idx on public.course_reviews (course_id, is_public);
comment on index public.course_reviews_course_id_is_public_idx is
'The foreign key, when a course is published or taken out of the catalogue';
create index course_reviews_is_listed_idx on public.course_reviews (is_listed, created_at desc);
comment on index public.course_reviews_is_listed_idx is
'The reviews that are not listed, for moderators: is_listed=eq.false&order=created_at.desc, and the policies';
create index course_reviews_student_id_idx on public.course_reviews (student_id);
comment on index public.course_reviews_student_id_idx is 'The reviews of a student: student_id=eq., and the policies';
create trigger _200_set_updated_at before update on public.course_reviews
for each row execute function private.tg__set_updated_at();

create function private.tg_course_reviews__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
declare
    v_added integer := case when tg_op <> 'DELETE' and new.is_listed then new.rating end;
    v_removed integer := case when tg_op <> 'INSERT' and old.is_listed then old.rating end;
begin
    if v_added is distinct from v_removed then
        update public.course_stats as s
        set
            one_star_count = s.one_star_count + (v_added is not distinct from 1)::integer
            - (v_removed is not distinct from 1)::integer,
            two_star_count = s.two_star_count + (v_added is not distinct from 2)::integer
            - (v_removed is not distinct from 2)::integer,
            three_star_count = s.three_star_count + (v_added is not distinct from 3)::integer
            - (v_removed is not distinct from 3)::integer,
            four_star_count = s.four_star_count + (v_added is not distinct from 4)::integer
            - (v_removed is not distinct from 4)::integer,
            five_star_count = s.five_star_count + (v_added is not distinct from 5)::integer
            - (v_removed is not distinct from 5)::integer
        where s.course_id = coalesce(new.course_id, old.course_id);
    end if;
    return null;
end
$$;
comment on function private.tg_course_reviews__count() is
'After a review is inserted, deleted or rated anew, or is listed or not any more: counts it in course_stats.';
create trigger _300_count
after insert or delete or update of rating, is_hidden, is_author_banned on public.course_reviews
for each row execute function private.tg_course_reviews__count();

create function private.review_course(p_course_id uuid, p_rating smallint, p_body text default '')
returns public.course_reviews
language plpgsql
security definer -- clients may not write reviews
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
    v_review public.course_reviews;
begin
    if p_course_id = any((select private.my_taught_course_ids())::uuid[]) then
        perform private.refuse('own_course');
    end if;
    -- One review of a student at a time: the row of the enrolment is the lock.
    select e.* into v_enrolment from public.enrolments as e
    where e.course_id = p_course_id and e.student_id = v_caller
    for no key update;
    if v_enrolment.id is null then
        perform private.refuse('not_enrolled');
    end if;
    if
        v_enrolment.status = 'cancelled' or v_enrolment.access = 'refunded' or v_enrolment.completed_lesson_count = 0
        or exists (
            select from public.student_teachers as t
            where t.course_id = p_course_id and t.user_id = v_caller and t.status = 'approved'
        )
    then
        perform private.refuse('review_not_allowed');
    end if;
    select r.* into v_review from public.course_reviews as r where r.enrolment_id = v_enrolment.id for update;
    if v_review.is_hidden then
        perform private.refuse('review_hidden');
    end if;
    if v_review.id is not null then
        update public.course_reviews as r
        set rating = p_rating, body = coalesce(p_body, ''), edited_at = now()
        where r.id = v_review.id
        returning r.* into v_review;
    else
        insert into public.course_reviews as r (enrolment_id, course_id, student_id, is_public, rating, body)
        select v_enrolment.id, s.course_id, v_caller, s.is_public, p_rating, coalesce(p_body, '')
        from public.course_stats as s where s.course_id = p_course_id
        for no key update
        returning r.* into v_review;
    end if;
    return v_review;
end
$$;
comment on function private.review_course(uuid, smallint, text) is
'Reviews a course, or changes the caller''s review of it, and returns the review. For students who finished a lesson.
Raises own_course (409), not_enrolled (403), review_not_allowed (403), review_hidden (409).';

create function private.reply_to_review(p_review_id uuid, p_reply text) returns public.course_reviews
language plpgsql
security definer -- clients may not write reviews
set search_path = ''
as $$
declare
    v_review public.course_reviews;
begin
    perform private.require_active();
    update public.course_reviews as r
    set reply = p_reply, replied_at = case when p_reply is not null then now() end
    where r.id = p_review_id and r.course_id = any((select private.my_taught_course_ids())::uuid[])
    returning r.* into v_review;
    if not found then
        perform private.refuse('review_not_found');
    end if;
    return v_review;
end
$$;
comment on function private.reply_to_review(uuid, text) is
'Replies to a review of a course, or with null takes the reply back. For the creator of the course. Raises
review_not_found (404).';

create function private.hide_review(p_review_id uuid, p_reason text default null) returns public.course_reviews
language plpgsql
security definer -- clients may not write reviews
set search_path = ''
as $$
declare
    v_before public.course_reviews;
    v_review public.course_reviews;
begin
    perform private.require_role('moderator');
    if p_reason is not null then
        perform private.require_reason(p_reason);
    end if;
    select r.* into v_before from public.course_reviews as r where r.id = p_review_id for update;
    if not found then
        perform private.refuse('review_not_found');
    end if;
    update public.course_reviews as r
    set is_hidden = p_reason is not null, hidden_reason = p_reason
    where r.id = p_review_id
    returning r.* into v_review;
    perform private.audit(
        case when v_review.is_hidden then 'course_review.hide' else 'course_review.show' end,
        'course_reviews', p_review_id::text,
        jsonb_build_object('is_hidden', v_before.is_hidden, 'reason', v_before.hidden_reason),
        jsonb_build_object('is_hidden', v_review.is_hidden, 'reason', v_review.hidden_reason),
        v_review.student_id
    );
    return v_review;
end
$$;
comment on function private.hide_review(uuid, text) is
'Hides a review for a reason, or without one shows it again. For moderators; the audit log records it. Raises
role_required (403), reason_missing (422), review_not_found (404).';

create function private.mark_reviews_of_author(p_user_id uuid, p_is_banned boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
begin
    -- One after the other in the order of the courses, as each locks the row of its course in course_stats.
    for v_id in
        select r.id from public.course_reviews as r
        where r.student_id = p_user_id and r.is_author_banned <> p_is_banned
        order by r.course_id
    loop
        update public.course_reviews as r set is_author_banned = p_is_banned where r.id = v_id;
    end loop;
end
$$;
comment on function private.mark_reviews_of_author(uuid, boolean) is
'Marks the reviews of a user as those of a banned author, or not any more.';

create function private.account_stopped__370_course_reviews(p_user_id uuid, p_status public.account_status)
returns void
language sql
set search_path = ''
as $$
    select private.mark_reviews_of_author(p_user_id, p_status = 'banned') where p_status <> 'deleted'
$$;
comment on function private.account_stopped__370_course_reviews(uuid, public.account_status) is
'The reviews of a user who is banned are not listed and do not count, also after the account is deleted.';

create function private.account_resumed__370_course_reviews(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.mark_reviews_of_author(p_user_id, false)
$$;
comment on function private.account_resumed__370_course_reviews(uuid) is
'The reviews of the user are listed and count again.';
