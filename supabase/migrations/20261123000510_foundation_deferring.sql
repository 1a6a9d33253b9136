-- Foundation: how our functions give work to the job queue.

create function private.defer_job(p_task text, p_args jsonb, p_queueing_lock text default null) returns bigint
language plpgsql
security definer -- the queue is closed to everybody but the worker; only functions of ours defer
set search_path = ''
as $$
declare
    -- So that the worker's log lines can be found by the request that caused them.
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
            -- Such a job waits. The worker passes over a locked one: it begins after this transaction, and sees what
            -- this transaction did.
            select j.id into v_job_id from procrastinate.procrastinate_jobs as j
            where j.queueing_lock = p_queueing_lock and j.status = 'todo' for share;
            if found then
                return v_job_id;
            end if;
            -- It began in between: try again.
        end;
    end loop;
end
$$;
comment on function private.defer_job(text, jsonb, text) is
'Defers a job in this transaction: the worker does it once the transaction is committed, and never where it is not.
Answers its id. With a queueing lock, while a job of that lock waits there is no second one, and its id is answered.
Called by functions of ours only.';
