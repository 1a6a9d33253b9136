-- Foundation: deferring jobs.

create function private.defer_job(p_task text, p_args jsonb, p_queueing_lock text default null) returns bigint
language plpgsql
security definer -- the queue is closed to all roles but the worker
set search_path = ''
as $$
declare
    -- The worker logs it, so that a search for a request finds its jobs, too.
    v_request jsonb := jsonb_strip_nulls(jsonb_build_object('request_id', private.request_id()));
    v_job_id bigint;
begin
    loop
        begin
            return (procrastinate.procrastinate_defer_jobs_v1(array[
                row('default', p_task, 0, null, p_queueing_lock, p_args || v_request, null)
                ::procrastinate.procrastinate_job_to_defer_v1
            ]))[1];
        exception when unique_violation then
            -- A job with this lock waits. The worker skips locked rows, so the job begins after this transaction and
            -- sees its changes.
            select j.id into v_job_id from procrastinate.procrastinate_jobs as j
            where j.queueing_lock = p_queueing_lock and j.status = 'todo' for share;
            if found then
                return v_job_id;
            end if;
            -- The worker began that job meanwhile: try again.
        end;
    end loop;
end
$$;
comment on function private.defer_job(text, jsonb, text) is
'Defers a job, which the worker does after this transaction is committed; returns its id. With a queueing lock, at most
one job of that lock waits: while one does, the function returns its id.';
