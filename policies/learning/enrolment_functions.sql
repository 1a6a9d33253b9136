-- private.enrol_student is nobody's: who is to be enrolled is decided before it is called
grant execute on function private.leave_course(uuid) to authenticated;
grant execute on function public.leave_course(uuid) to authenticated;
grant execute on function private.free_courses_consumed() to authenticated;
grant execute on function public.free_courses_consumed() to authenticated;
grant execute on function private.course_access(uuid) to authenticated;
grant execute on function public.course_access(uuid) to authenticated;
grant execute on function public.resume_point(uuid) to authenticated;

grant execute on function private.find_students(text) to authenticated;
grant execute on function public.search_students(text) to authenticated;
grant execute on function public.creator_dashboard() to authenticated;
-- export_students runs as its caller, and with it what makes the file
grant execute on function private.csv_cell(text) to authenticated;
grant execute on function private.csv_file(text, text, text[]) to authenticated;
grant execute on function private.csv_line(public.course_students) to authenticated;
grant execute on function private.csv_students(text, text[]) to authenticated;
grant execute on function public.export_students(uuid, public.enrolment_status) to authenticated;
grant execute on function private.send_enrolment_mail(uuid, uuid) to authenticated;
grant execute on function public.send_enrolment_mail(uuid, uuid) to authenticated;

grant execute on function private.enrol_student_manually(uuid, uuid, timestamptz) to authenticated;
grant execute on function public.enrol_student_manually(uuid, uuid, timestamptz) to authenticated;
grant execute on function private.update_enrolment(uuid, timestamptz) to authenticated;
grant execute on function public.update_enrolment(uuid, timestamptz) to authenticated;
grant execute on function private.cancel_enrolment(uuid, text) to authenticated;
grant execute on function public.cancel_enrolment(uuid, text) to authenticated;
grant execute on function private.force_complete_enrolment(uuid) to authenticated;
grant execute on function public.force_complete_enrolment(uuid) to authenticated;
grant execute on function private.delete_enrolment(uuid) to authenticated;
grant execute on function public.delete_enrolment(uuid) to authenticated;
grant execute on function private.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) to authenticated;
grant execute on function public.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) to authenticated;
