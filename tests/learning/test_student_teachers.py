"""Student-teachers: applications, decisions, and the students that they help."""

from typing import Any

import pytest

from tests.identity.test_accounts import mails
from tests.people import Academy, Course, Person, concurrently, refused, rows

STATEMENT = "I centred my first bowl here."


@pytest.fixture
def holder(academy: Academy, course: Course) -> Person:
    """Somebody with the certificate of the course."""
    return certified(academy, course)


@pytest.fixture
def helper(academy: Academy, course: Course, holder: Person) -> dict[str, Any]:
    """The holder as an approved student-teacher; the row."""
    return approved(academy, course, holder)


def certified(academy: Academy, course: Course, name: str = "Kofi") -> Person:
    """A new person who takes the course and passes its quiz."""
    person = academy.member(name=name)
    academy.enrol(person, course)
    answer = academy.rpc(person, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert answer.json()["certificate"]["status"] == "issued", answer.text
    return person


def apply(academy: Academy, course: Course, person: Person) -> dict[str, Any]:
    """Apply as a student-teacher; the row."""
    answer = academy.rpc(person, "apply_as_student_teacher", course_id=course.id, statement=STATEMENT)
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()
    return row


def approved(academy: Academy, course: Course, person: Person, **changes: Any) -> dict[str, Any]:
    """An approved student-teacher with these settings; the row."""
    row = apply(academy, course, person)
    answer = academy.rpc(course.teacher, "decide_student_teacher", student_teacher_id=row["id"], is_approved=True)
    assert answer.status_code == 200, answer.text
    own = f"/rest/v1/student_teachers?id=eq.{row['id']}"
    if changes:
        assert academy.call(person, "PATCH", own, changes).status_code == 204
    (row,) = rows(academy.call(person, "GET", own))
    return row


def read(academy: Academy, student_teacher: dict[str, Any]) -> dict[str, Any]:
    """The row as it is now."""
    [(row,)] = academy.sql("select to_jsonb(t) from public.student_teachers as t where id = %s", student_teacher["id"])
    found: dict[str, Any] = row
    return found


def test_only_holders_of_the_certificate_apply(
    academy: Academy, enrolled: Person, stranger: Person, course: Course, holder: Person
) -> None:
    application = {"course_id": course.id, "statement": STATEMENT}
    for who in (enrolled, stranger, course.teacher, academy.member("admin")):
        refused(academy.rpc(who, "apply_as_student_teacher", **application), 403, "certificate_required")
    unknown = application | {"course_id": "00000000-0000-4000-8000-000000000000"}
    refused(academy.rpc(holder, "apply_as_student_teacher", **unknown), 403, "certificate_required")
    assert academy.rpc(None, "apply_as_student_teacher", **application).status_code == 401
    assert academy.rpc(holder, "apply_as_student_teacher", **application | {"statement": " "}).status_code == 400

    answers = concurrently(4, lambda _: academy.rpc(holder, "apply_as_student_teacher", **application))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 3]
    refused(academy.rpc(holder, "apply_as_student_teacher", **application), 409, "application_pending")
    # Nobody else can decide.
    path = f"/rest/v1/student_teachers?user_id=eq.{holder.id}"
    for who in (holder, course.teacher, academy.member("moderator")):
        (row,) = rows(academy.call(who, "GET", path))
        assert (row["status"], row["is_open"], row["statement"]) == ("pending", False, STATEMENT)
    for nobody in (None, stranger, enrolled):
        assert rows(academy.call(nobody, "GET", path)) == []
    academy.suspend(holder)
    refused(academy.rpc(holder, "withdraw_as_student_teacher", course_id=course.id), 403, "account_inactive")


@pytest.mark.route("PL-061", call="POST /rest/v1/rpc/decide_student_teacher")
def test_the_creator_approves(academy: Academy, stranger: Person, course: Course, holder: Person) -> None:
    row = apply(academy, course, holder)
    decision = {"student_teacher_id": row["id"], "is_approved": True, "note": "Welcome."}
    for who in (holder, stranger, academy.member(), academy.member("moderator")):
        refused(academy.rpc(who, "decide_student_teacher", **decision), 404, "student_teacher_not_found")
    assert academy.rpc(None, "decide_student_teacher", **decision).status_code == 401
    nothing = decision | {"is_approved": None}
    refused(academy.rpc(course.teacher, "decide_student_teacher", **nothing), 422, "decision_missing")

    admins = [course.teacher, academy.member("admin")]
    answers = concurrently(2, lambda number: academy.rpc(admins[number], "decide_student_teacher", **decision))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused(academy.rpc(course.teacher, "decide_student_teacher", **decision), 409, "application_decided")
    application = {"course_id": course.id, "statement": STATEMENT}
    refused(academy.rpc(holder, "apply_as_student_teacher", **application), 409, "already_student_teacher")

    assert mails(academy, holder)[2:] == [
        ("student_teacher_approved", {"note": "Welcome.", "course_title": mails(academy, holder)[0][1]["course_title"]})
    ]
    audited = academy.sql("select action, after ->> 'user_id' from public.audit_log where target_id = %s", row["id"])
    assert audited == [("student_teacher.approve", holder.id)]
    decided = f"/rest/v1/student_teacher_decisions?student_teacher_id=eq.{row['id']}&select=outcome,note"
    for who in (holder, course.teacher, academy.member("moderator")):
        assert rows(academy.call(who, "GET", decided)) == [{"outcome": "approved", "note": "Welcome."}]
    assert rows(academy.call(stranger, "GET", decided)) == []
    assert academy.call(None, "GET", decided).status_code == 401


def test_a_rejected_applicant_waits_thirty_days(academy: Academy, course: Course, holder: Person) -> None:
    row = apply(academy, course, holder)
    decision = {"student_teacher_id": row["id"], "is_approved": False}
    assert academy.rpc(course.teacher, "decide_student_teacher", **decision).json()["status"] == "rejected"
    assert [template for template, _ in mails(academy, holder)][2:] == ["student_teacher_rejected"]
    application = {"course_id": course.id, "statement": "Again"}
    refused(academy.rpc(holder, "apply_as_student_teacher", **application), 409, "application_too_soon")
    academy.sql("update public.student_teachers set decided_at = now() - interval '31 days' where id = %s", row["id"])
    again = academy.rpc(holder, "apply_as_student_teacher", **application).json()
    assert (again["id"], again["status"], again["statement"]) == (row["id"], "pending", "Again")
    # After a withdrawal, they can apply again at once.
    assert academy.rpc(holder, "withdraw_as_student_teacher", course_id=course.id).json()["status"] == "withdrawn"
    refused(academy.rpc(holder, "withdraw_as_student_teacher", course_id=course.id), 404, "student_teacher_not_found")
    assert apply(academy, course, holder)["status"] == "pending"


@pytest.mark.route(
    "PL-031",
    call="GET /rest/v1/student_teachers?course_id=eq.{course_id}&status=eq.approved&select={fields}",
    public=True,
)
@pytest.mark.route(
    "PL-056", call="GET /rest/v1/student_teachers?courses.slug=eq.{slug}&is_open=is.true&select={fields}", public=True
)
def test_everybody_finds_student_teachers(
    academy: Academy, stranger: Person, course: Course, helper: dict[str, Any], holder: Person
) -> None:
    fields = "id,statement,is_open,student_count,max_students,profiles(display_name,handle),courses!inner(slug)"
    of_course = f"/rest/v1/student_teachers?course_id=eq.{course.id}&status=eq.approved&select={fields}"
    available = f"/rest/v1/student_teachers?courses.slug=eq.{course.slug}&is_open=is.true&select={fields}"
    own = f"/rest/v1/student_teachers?id=eq.{helper['id']}"

    def found(who: Person | None, path: str) -> list[dict[str, Any]]:
        return [row for row in rows(academy.call(who, "GET", path)) if row["id"] == helper["id"]]

    for who in (None, stranger):
        for path in (of_course, available):
            (row,) = found(who, path)
            assert row["profiles"]["display_name"] == "Kofi"
            assert (row["student_count"], row["max_students"], row["is_open"]) == (0, 5, True)
    # Their own setting.
    for who in (stranger, course.teacher, academy.member("admin")):
        changed = academy.call(who, "PATCH", own, {"is_available": False}, prefer="return=representation")
        assert rows(changed) == []
    assert academy.call(holder, "PATCH", own, {"is_available": False}).status_code == 204
    assert [len(found(None, path)) for path in (of_course, available)] == [1, 0]
    for conclusion in ({"status": "revoked"}, {"student_count": 0}, {"is_open": True}, {"user_id": stranger.id}):
        assert academy.call(holder, "PATCH", own, conclusion).status_code in {400, 403}
    for number in (0, 1001, -1):
        assert academy.call(holder, "PATCH", own, {"max_students": number}).status_code == 400
    # A hidden profile is not listed.
    academy.sql("update public.profiles set is_public = false where id = %s", holder.id)
    assert [len(found(who, of_course)) for who in (None, stranger, course.teacher)] == [0, 0, 1]


@pytest.mark.route("PL-074", call="GET /rest/v1/student_teachers?courses.creator_id=eq.{user_id}&select={fields}")
def test_a_creator_lists_the_student_teachers_of_a_course(
    academy: Academy, stranger: Person, course: Course, holder: Person
) -> None:
    apply(academy, course, holder)
    path = (
        f"/rest/v1/student_teachers?courses.creator_id=eq.{course.teacher.id}&status=eq.pending"
        f"&user_id=eq.{holder.id}&select=*,courses!inner(title),profiles(display_name)"
    )
    (row,) = rows(academy.call(course.teacher, "GET", path))
    assert row["profiles"] == {"display_name": "Kofi"}
    for who in (None, stranger, academy.member()):
        assert rows(academy.call(who, "GET", path)) == []


@pytest.mark.route("PL-059", call="GET /rest/v1/enrolments?student_teachers.user_id=eq.{user_id}&select={fields}")
@pytest.mark.route("PL-057", call="GET /rest/v1/rpc/student_teacher_dashboard")
def test_a_student_teacher_reads_only_their_students(
    academy: Academy, course: Course, helper: dict[str, Any], holder: Person
) -> None:
    amara, basil, other = (academy.member(name=name) for name in ("Amara", "Basil", "Other"))
    enrolment, second, alone = (academy.enrol(student, course) for student in (amara, basil, other))
    for student in (amara, basil):
        answer = academy.rpc(student, "choose_student_teacher", student_teacher_id=helper["id"])
        assert (answer.status_code, answer.json()["student_teacher_id"]) == (200, helper["id"]), answer.text
    academy.rpc(amara, "record_progress", lesson_id=course.lesson_ids[0], is_completed=True)
    academy.rpc(other, "record_progress", lesson_id=course.lesson_ids[0], is_completed=True)
    academy.rpc(amara, "submit_quiz", quiz_id=course.quiz_id, answers=dict.fromkeys(course.correct_answers, "c"))

    fields = (
        "id,status,student:profiles(display_name),lesson_progress(lesson_id,completed_at),student_teachers!inner(id)"
    )
    students = f"/rest/v1/enrolments?student_teachers.user_id=eq.{holder.id}&select={fields}&order=id"
    listed = rows(academy.call(holder, "GET", students))
    assert {row["id"]: row["student"]["display_name"] for row in listed} == {enrolment: "Amara", second: "Basil"}
    assert sorted(len(row["lesson_progress"]) for row in listed) == [0, 1]
    stranger = certified(academy, course)  # a student-teacher of other students
    approved(academy, course, stranger)
    for who in (stranger, academy.member("teacher")):
        assert rows(academy.call(who, "GET", students)) == []
    # They read enrolments and progress of their students only, and no attempts.
    own = f"student_id=neq.{holder.id}"
    assert {row["id"] for row in rows(academy.call(holder, "GET", f"/rest/v1/enrolments?{own}"))} == {enrolment, second}
    progress = rows(academy.call(holder, "GET", f"/rest/v1/lesson_progress?{own}"))
    assert {row["enrolment_id"] for row in progress} == {enrolment}
    assert rows(academy.call(holder, "GET", f"/rest/v1/quiz_attempts?{own}")) == []
    embedded = f"/rest/v1/enrolments?id=eq.{enrolment}&select=quiz_attempts(id)"
    assert rows(academy.call(holder, "GET", embedded)) == [{"quiz_attempts": []}]

    dashboard = academy.call(holder, "GET", "/rest/v1/rpc/student_teacher_dashboard")
    figures = {
        "student_count": 2, "active_count": 2, "completed_count": 0, "recommended_count": 0, "certified_count": 0
    }  # fmt: skip
    [mine] = dashboard.json()["courses"]
    assert figures.items() <= dashboard.json().items()
    assert figures.items() <= mine.items()
    assert (mine["course_id"], mine["max_students"], mine["is_available"]) == (course.id, 5, True)
    assert academy.rpc(holder, "recommend_certificate", enrolment_id=enrolment).status_code == 200
    counted = academy.call(holder, "GET", "/rest/v1/rpc/student_teacher_dashboard").json()
    assert counted["recommended_count"] == 1
    for who in (amara, course.teacher, academy.member("admin")):
        refused(academy.call(who, "GET", "/rest/v1/rpc/student_teacher_dashboard"), 403, "student_teacher_required")
    # A student sees who helps, even one who is hidden from everybody else.
    academy.sql("update public.profiles set is_public = false where id = %s", holder.id)
    row = f"/rest/v1/student_teachers?id=eq.{helper['id']}"
    assert [len(rows(academy.call(who, "GET", row))) for who in (amara, other, None)] == [1, 0, 0]
    assert alone not in {row["id"] for row in listed}


@pytest.mark.route("PL-150", call="POST /rest/v1/rpc/assign_student_teacher")
def test_creator_and_admins_assign_and_reassign(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    helper: dict[str, Any],
    *,
    holder: Person,
) -> None:
    enrolment = academy.enrol(student, course)
    second = approved(academy, course, certified(academy, course))
    assignment = {"enrolment_id": enrolment, "student_teacher_id": helper["id"]}
    for who in (student, stranger, holder, academy.member("moderator")):
        refused(academy.rpc(who, "assign_student_teacher", **assignment), 404, "enrolment_not_found")
    admin = academy.member("admin")
    assigned = academy.rpc(course.teacher, "assign_student_teacher", **assignment)
    assert assigned.json()["student_teacher_id"] == helper["id"], assigned.text
    assert academy.rpc(course.teacher, "assign_student_teacher", **assignment).status_code == 200  # changes nothing
    moved = academy.rpc(admin, "assign_student_teacher", enrolment_id=enrolment, student_teacher_id=second["id"])
    assert moved.json()["student_teacher_id"] == second["id"]
    assert [read(academy, row)["student_count"] for row in (helper, second)] == [0, 1]
    assert rows(academy.call(holder, "GET", f"/rest/v1/enrolments?id=eq.{enrolment}")) == []
    freed = academy.rpc(course.teacher, "assign_student_teacher", enrolment_id=enrolment)
    assert freed.json()["student_teacher_id"] is None
    assert [read(academy, row)["student_count"] for row in (helper, second)] == [0, 0]
    audited = academy.sql(
        "select actor_id::text, before ->> 'student_teacher_id', after ->> 'student_teacher_id'"
        " from public.audit_log where target_id = %s and action = 'enrolment.assign' order by id",
        enrolment,
    )
    assert audited == [
        (course.teacher.id, None, helper["id"]),
        (admin.id, helper["id"], second["id"]),
        (course.teacher.id, second["id"], None),
    ]
    own = f"/rest/v1/enrolments?id=eq.{enrolment}"
    for who in (student, course.teacher, holder):
        assert academy.call(who, "PATCH", own, {"student_teacher_id": helper["id"]}).status_code == 403


def test_student_teachers_that_cannot_be_assigned(
    academy: Academy, student: Person, course: Course, helper: dict[str, Any], holder: Person
) -> None:
    enrolment = academy.enrol(student, course)
    elsewhere = academy.course(course.teacher)
    foreign = approved(academy, elsewhere, certified(academy, elsewhere))
    pending = apply(academy, course, certified(academy, course))
    for identifier in (foreign["id"], pending["id"], "00000000-0000-4000-8000-000000000000"):
        refused(
            academy.rpc(
                course.teacher, "assign_student_teacher", enrolment_id=enrolment, student_teacher_id=identifier
            ),
            404,
            "student_teacher_not_found",
        )
    refused(
        academy.rpc(student, "choose_student_teacher", student_teacher_id=pending["id"]),
        404,
        "student_teacher_not_found",
    )
    refused(academy.rpc(student, "choose_student_teacher", student_teacher_id=foreign["id"]), 403, "not_enrolled")
    choice = {"student_teacher_id": helper["id"]}
    # Neither the student nor somebody who is full, unavailable or withdrawn.
    refused(academy.rpc(holder, "choose_student_teacher", **choice), 409, "student_teacher_unavailable")
    own = f"/rest/v1/student_teachers?id=eq.{helper['id']}"
    academy.call(holder, "PATCH", own, {"is_available": False})
    refused(academy.rpc(student, "choose_student_teacher", **choice), 409, "student_teacher_unavailable")
    academy.call(holder, "PATCH", own, {"is_available": True})
    academy.sql("update public.profiles set is_public = false where id = %s", holder.id)
    refused(academy.rpc(student, "choose_student_teacher", **choice), 404, "student_teacher_not_found")
    academy.sql("update public.profiles set is_public = true where id = %s", holder.id)
    academy.suspend(holder)
    refused(academy.rpc(student, "choose_student_teacher", **choice), 409, "student_teacher_unavailable")
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", enrolment)
    assigned = academy.rpc(course.teacher, "assign_student_teacher", enrolment_id=enrolment, **choice)
    refused(assigned, 409, "enrolment_not_active")


def test_twenty_concurrent_students_take_five_places(academy: Academy, course: Course, helper: dict[str, Any]) -> None:
    students = [academy.member() for _ in range(20)]
    for student in students:
        academy.enrol(student, course)
    answers = concurrently(
        20, lambda number: academy.rpc(students[number], "choose_student_teacher", student_teacher_id=helper["id"])
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 15
    assert {answer.json()["message"] for answer in answers if answer.status_code == 409} == {"student_teacher_full"}
    assert (read(academy, helper)["student_count"], read(academy, helper)["is_open"]) == (5, False)
    taken = academy.sql("select count(*) from public.enrolments where student_teacher_id = %s", helper["id"])
    assert taken == [(5,)]


def test_places_come_back(academy: Academy, course: Course, helper: dict[str, Any], holder: Person) -> None:
    own = f"/rest/v1/student_teachers?id=eq.{helper['id']}"
    assert academy.call(holder, "PATCH", own, {"max_students": 2}).status_code == 204
    students = [academy.member() for _ in range(3)]
    enrolments = [academy.enrol(student, course) for student in students]
    choice = {"student_teacher_id": helper["id"]}
    for student in students[:2]:
        assert academy.rpc(student, "choose_student_teacher", **choice).status_code == 200
    refused(academy.rpc(students[2], "choose_student_teacher", **choice), 409, "student_teacher_full")
    assert academy.call(holder, "PATCH", own, {"max_students": 1}).status_code == 400
    # A completed student takes no place, and stays assigned; one who leaves does not.
    for lesson in course.lesson_ids:
        academy.rpc(students[0], "record_progress", lesson_id=lesson, is_completed=True)
    academy.rpc(students[0], "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", enrolments[1])
    assert read(academy, helper)["student_count"] == 0
    assert academy.rpc(students[2], "choose_student_teacher", **choice).status_code == 200
    mine = rows(academy.call(holder, "GET", f"/rest/v1/enrolments?student_teacher_id=eq.{helper['id']}&select=id"))
    assert {row["id"] for row in mine} == {enrolments[0], enrolments[2]}


@pytest.mark.parametrize("ending", ["revoked", "withdrawn", "certificate", "deleted"])
def test_a_former_student_teacher_has_no_students(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    helper: dict[str, Any],
    *,
    holder: Person,
    ending: str,
) -> None:
    enrolment = academy.enrol(student, course)
    assert academy.rpc(student, "choose_student_teacher", student_teacher_id=helper["id"]).status_code == 200
    admin = academy.member("admin")
    if ending == "revoked":
        revocation = {"student_teacher_id": helper["id"], "reason": "Nobody was helped."}
        for who in (holder, student, stranger):
            refused(academy.rpc(who, "revoke_student_teacher", **revocation), 404, "student_teacher_not_found")
        blank = revocation | {"reason": " "}
        refused(academy.rpc(course.teacher, "revoke_student_teacher", **blank), 422, "reason_missing")
        assert academy.rpc(course.teacher, "revoke_student_teacher", **revocation).json()["status"] == "revoked"
        refused(academy.rpc(course.teacher, "revoke_student_teacher", **revocation), 409, "illegal_transition")
        assert mails(academy, holder)[-1][0] == "student_teacher_revoked"
    elif ending == "withdrawn":
        assert academy.rpc(holder, "withdraw_as_student_teacher", course_id=course.id).json()["status"] == ending
    elif ending == "certificate":
        [(certificate,)] = academy.sql("select id::text from public.certificates where student_id = %s", holder.id)
        revoked = academy.rpc(admin, "revoke_certificate", certificate_id=certificate, reason="Bought")
        assert revoked.status_code == 200, revoked.text
        assert read(academy, helper)["status"] == "revoked"
        application = {"course_id": course.id, "statement": STATEMENT}
        refused(academy.rpc(holder, "apply_as_student_teacher", **application), 403, "certificate_required")
        # After reinstatement, the holder can apply again.
        assert academy.rpc(admin, "reinstate_certificate", certificate_id=certificate).status_code == 200
        assert read(academy, helper)["status"] == "revoked"
        assert apply(academy, course, holder)["status"] == "pending"
    else:
        academy.sql("delete from auth.users where id = %s", holder.id)
        assert academy.sql("select from public.student_teachers where id = %s", helper["id"]) == []
    assert academy.sql("select student_teacher_id from public.enrolments where id = %s", enrolment) == [(None,)]
    if ending != "deleted":
        assert read(academy, helper)["student_count"] == 0
        assert rows(academy.call(holder, "GET", f"/rest/v1/enrolments?id=eq.{enrolment}")) == []
        refused(
            academy.rpc(student, "choose_student_teacher", student_teacher_id=helper["id"]),
            404,
            "student_teacher_not_found",
        )


def test_an_application_is_not_approved_without_the_certificate(
    academy: Academy, course: Course, holder: Person
) -> None:
    row = apply(academy, course, holder)
    # An application between the revocation and its end.
    academy.sql(
        "update public.certificates set status = 'revoked', revoked_at = now() where student_id = %s", holder.id
    )
    decision = {"student_teacher_id": row["id"], "is_approved": True}
    refused(academy.rpc(course.teacher, "decide_student_teacher", **decision), 409, "certificate_not_issued")


def test_nobody_is_assigned_during_a_revocation(academy: Academy, course: Course) -> None:
    admin = academy.member("admin")
    for _ in range(4):
        holder = certified(academy, course)
        row = approved(academy, course, holder)
        students = [academy.member() for _ in range(4)]
        for student in students:
            academy.enrol(student, course)
        assert academy.rpc(students[0], "choose_student_teacher", student_teacher_id=row["id"]).status_code == 200
        for lesson in course.lesson_ids:
            academy.rpc(students[0], "record_progress", lesson_id=lesson, is_completed=True)

        def act(number: int) -> int:
            if number == 0:
                call = academy.rpc(admin, "revoke_student_teacher", student_teacher_id=row["id"], reason="Why")  # noqa: B023
            elif number == 4:  # completes meanwhile, which frees a place
                call = academy.rpc(students[0], "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)  # noqa: B023
            else:
                call = academy.rpc(students[number], "choose_student_teacher", student_teacher_id=row["id"])  # noqa: B023
            return call.status_code

        answers = concurrently(5, act)
        assert (answers[0], answers[4]) == (200, 200)
        assert set(answers[1:4]) <= {200, 404}
        assert read(academy, row)["student_count"] == 0
        left = academy.sql("select from public.enrolments where student_teacher_id = %s", row["id"])
        assert left == []


def test_concurrent_swaps_of_students_do_not_deadlock(academy: Academy, course: Course) -> None:
    pair = [approved(academy, course, certified(academy, course)) for _ in range(2)]
    enrolments = [academy.enrol(academy.member(), course) for _ in range(2)]
    for turn in range(6):
        answers = concurrently(
            2,
            lambda number: academy.rpc(
                course.teacher,
                "assign_student_teacher",
                enrolment_id=enrolments[number],
                student_teacher_id=pair[(number + turn) % 2]["id"],  # noqa: B023
            ),
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        assert [read(academy, row)["student_count"] for row in pair] == [1, 1]
