"""A small world in which every table holds rows of several people, for attacking each from everybody's place.

It lies in a database of its own, so that all rows are known. A row is called by those whose it is: `free.student` is
what the student has in the course `free`.
"""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

PEOPLE = {
    "creator": ("teacher",),
    "rival": ("teacher",),
    "retired": ("teacher",),
    "student": (),
    "stranger": (),
    "suspended": (),
    "moderator": ("moderator",),
    "admin": ("admin",),
    "superadmin": ("superadmin",),
}
"""Everybody, with the roles. `student` and `suspended` take the course `free`; the latter's account is suspended.
`retired` is a teacher no more. The stranger's profile is not public."""

COURSES = {
    "draft": ("creator", 0, "draft"),
    "free": ("creator", 0, "published"),
    "paid": ("creator", 4900, "published"),
    "other": ("rival", 0, "draft"),
    "old": ("retired", 0, "draft"),
}
"""Every course, with its creator, price and status."""


class World:
    """The people, the courses and the name of everything."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {
            name: str(UUID(int=(place << 64) | 0x4000_8000_0000_0000_0000, version=4))
            for place, name in enumerate([*PEOPLE, *COURSES], 1)
        }
        self.names = {uuid: name for name, uuid in self.ids.items()}
        self._heirs: dict[str, str] = {}
        """The labels of rows, by their ids, for what refers to them and names nobody itself."""

    def label(self, row: dict[str, Any]) -> str:
        """Whose a row is, from the ids that it holds."""
        values = [str(value) for value in row.values()]
        for known in (self.names, self._heirs):
            named = [known[value] for value in values if value in known]
            if named:
                return ".".join(dict.fromkeys(named))
        return "row"

    def learn(self, rows: Iterable[dict[str, Any]]) -> None:
        """Know whose rows are by what they refer to, however far away the person is."""
        waiting = [row for row in rows if isinstance(row.get("id"), str) and row["id"] not in self.names]
        while found := {row["id"]: self.label(row) for row in waiting if self.label(row) != "row"}:
            waiting = [row for row in waiting if row["id"] not in found]
            self._heirs |= found

    def build(self, connection: psycopg.Connection) -> None:
        """Fill a migrated database, as the superuser; what functions conclude is concluded by them."""
        run = connection.execute
        for name, roles in PEOPLE.items():
            run(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
                " values (%s, 'authenticated', 'authenticated', %s, now(), %s)",
                [self.ids[name], f"{name}@secret.example", Jsonb({"display_name": f"Name of {name}"})],
            )
            run(
                "insert into public.user_roles (user_id, role) select %s, unnest(%s::public.app_role[])",
                [self.ids[name], list(roles)],
            )
        run("insert into public.user_roles (user_id, role) values (%s, 'teacher')", [self.ids["suspended"]])
        self._show(connection)
        run("update public.profiles set is_public = false where id = %s", [self.ids["stranger"]])
        run("insert into public.categories (slug, name) values ('one', 'One'), ('two', 'Two')")
        for name in COURSES:
            self._build_course(connection, name)
        for student in ("student", "suspended"):
            self._take_course(connection, self.ids[student], self.ids["free"])
        self._decide_certificates(connection)
        self._build_gate_and_clock(connection)
        self._build_student_teachers(connection)
        self._meet_and_order(connection)
        self._note_students(connection)
        self._furnish_shop(connection)
        self._trade(connection)
        self._buy_licence(connection)
        self._furnish_catalogue(connection)
        for person in ("student", "stranger"):
            self.act(
                connection,
                person,
                "insert into public.notification_preferences (topic, by_email) values ('learning', false)"
                " returning topic",
            )
        self._build_workspace(connection)
        self.act(connection, "admin", "select public.grant_role(%s, 'teacher')", self.ids["rival"])
        self.act(connection, "admin", "select public.grant_role(%s, 'moderator')", self.ids["stranger"])
        self.act(connection, "admin", "select public.revoke_role(%s, 'moderator')", self.ids["stranger"])
        self.act(connection, "admin", "select public.revoke_role(%s, 'teacher')", self.ids["retired"])
        for name in ("student", "stranger"):
            self._know_in_auth(connection, self.ids[name])
            self.act(connection, name, "select public.apply_to_teach('To pass it on')")
        self.act(connection, "moderator", "select public.set_account_status(%s, 'suspended')", self.ids["suspended"])

    def _furnish_catalogue(self, connection: psycopg.Connection) -> None:
        """What creators offer beside courses, whom admins put forward, and how often courses were looked at."""
        for name in ("creator", "stranger"):
            connection.execute(
                "insert into public.creator_placements (creator_id, is_featured) values (%s, true)", [self.ids[name]]
            )
        for name in ("free", "paid", "other"):
            connection.execute(
                "insert into public.course_views (course_id, day, view_count) values (%s, '2026-11-01', 7)",
                [self.ids[name]],
            )
        binding = "select public.bind_course_price(%s, 'price_secret', 'prod_secret')"
        self.act(connection, "admin", binding, self.ids["paid"])

    def act(self, connection: psycopg.Connection, person: str, statement: str, *parameters: Any) -> Any:
        """Run a statement as PostgREST would for a person; returns its first value."""
        with connection.transaction():
            connection.execute("set local role authenticated")
            connection.execute(
                "select set_config('request.jwt.claims', %s, true)",
                [json.dumps({"sub": self.ids[person], "role": "authenticated"})],
            )
            row = connection.execute(statement.encode(), parameters).fetchone()
            connection.execute("reset role")
        return row[0] if row else None

    def _show(self, connection: psycopg.Connection) -> None:
        """What people say of themselves, and whom they follow."""
        for name in ("creator", "student", "stranger", "suspended"):
            for statement in (
                "insert into public.user_qualifications (user_id, title) values (%s, 'Skilled')",
                "insert into public.user_expertise (user_id, topic) values (%s, 'clay')",
            ):
                connection.execute(statement.encode(), [self.ids[name]])
        for follower, followee in (
            ("student", "creator"), ("student", "stranger"), ("stranger", "creator"), ("suspended", "rival"),
        ):  # fmt: skip
            connection.execute(
                "insert into public.follows (follower_id, followee_id) values (%s, %s)",
                [self.ids[follower], self.ids[followee]],
            )

    def _build_course(self, connection: psycopg.Connection, name: str) -> None:
        owner, price, status = COURSES[name]
        course = self.ids[name]
        connection.execute(
            "insert into public.courses (id, creator_id, slug, title, description, price_amount, category_id)"
            " select %s, %s, %s, %s, 'About it', %s, c.id from public.categories as c where c.slug = 'one'",
            [course, self.ids[owner], name, f"Title of {name}", price],
        )
        module = self._id(
            connection, "insert into public.modules (course_id, title) values (%s, 'Module') returning id", course
        )
        for is_intro in (True, False):
            lesson = self._id(
                connection,
                "insert into public.lessons (module_id, title, is_intro) values (%s, 'Lesson', %s) returning id",
                module,
                is_intro,
            )
            connection.execute(
                "insert into public.lesson_contents (lesson_id, body) values (%s, %s)", [lesson, f"Body of {name}"]
            )
        quiz = self._id(
            connection, "insert into public.quizzes (course_id, title) values (%s, 'Quiz') returning id", course
        )
        self.act(
            connection,
            owner,
            "select public.save_quiz_question(%s, 'true_false', 'True?', 'true')",
            quiz,
        )
        if status == "published":
            self.act(connection, owner, "select public.publish_course(%s)", course)
        # One without content, to which content could be moved.
        connection.execute("insert into public.lessons (module_id, title) values (%s, 'Bare')", [module])

    def _build_gate_and_clock(self, connection: psycopg.Connection) -> None:
        """In `free`, a lesson that is locked to its students, and a timed quiz that the student has begun."""
        course = self.ids["free"]
        lesson = self._id(
            connection,
            "insert into public.lessons (module_id, title) select m.id, 'Locked' from public.modules as m"
            " where m.course_id = %s returning id",
            course,
        )
        connection.execute(
            "insert into public.lesson_contents (lesson_id, body) values (%s, 'Not yet to be read')", [lesson]
        )
        quiz = self._id(
            connection,
            "insert into public.quizzes (course_id, title, is_certifying, time_limit_seconds)"
            " values (%s, 'Timed', false, 600) returning id",
            course,
        )
        self.act(connection, "creator", "select public.save_quiz_question(%s, 'true_false', 'False?', 'false')", quiz)
        self.act(
            connection,
            "creator",
            "insert into public.lesson_gates (lesson_id, after_days, after_quiz_id) values (%s, 30, %s) returning 1",
            lesson,
            quiz,
        )
        self.act(connection, "student", "select public.start_quiz(%s)", quiz)
        # Again one without content, to which content could be moved.
        connection.execute(
            "insert into public.lessons (module_id, title) select m.id, 'Bare' from public.modules as m"
            " where m.course_id = %s",
            [course],
        )

    def _build_workspace(self, connection: psycopg.Connection) -> None:
        """The creator's, in which the rival is admin, and the student and the suspended one are members."""
        workspace = self.act(connection, "creator", "select w.id from public.create_workspace('Kiln') as w")
        for person, role in (("rival", "admin"), ("student", "member"), ("suspended", "member")):
            self.act(
                connection,
                "creator",
                "select public.add_workspace_member(%s, %s, %s)",
                workspace,
                self.ids[person],
                role,
            )

    def _build_student_teachers(self, connection: psycopg.Connection) -> None:
        """Of the course `free`: the student is one and helps the suspended one, who asks to be one himself."""
        for person in ("student", "suspended"):
            self.act(
                connection, person, "select public.apply_as_student_teacher(%s, 'To pass it on')", self.ids["free"]
            )
        self.act(
            connection,
            "creator",
            "select public.decide_student_teacher(t.id, true, 'Welcome') from public.student_teachers as t"
            " where t.user_id = %s",
            self.ids["student"],
        )
        # A completed course needs no help: what would have been there before, is put there.
        connection.execute(
            "update public.enrolments as e set student_teacher_id = t.id from public.student_teachers as t"
            " where e.student_id = %s and t.user_id = %s",
            [self.ids["suspended"], self.ids["student"]],
        )

    def _decide_certificates(self, connection: psycopg.Connection) -> None:
        """An admin revoked and reinstated that of the suspended one."""
        for verb in ("revoke_certificate(c.id, 'A mistake')", "reinstate_certificate(c.id, 'None')"):
            self.act(
                connection,
                "admin",
                f"select public.{verb} from public.certificates as c where c.student_id = %s",  # noqa: S608
                self.ids["suspended"],
            )

    def _know_in_auth(self, connection: psycopg.Connection, user_id: str) -> None:
        """Somebody signs in, and mistypes the password."""
        connection.execute("insert into auth.sessions (id, user_id) values (gen_random_uuid(), %s)", [user_id])
        connection.execute(
            "select private.password_verification_attempt(jsonb_build_object('user_id', %s::text, 'valid', false))",
            [user_id],
        )

    def _take_course(self, connection: psycopg.Connection, student: str, course: str) -> None:
        name = self.names[student]
        self.act(connection, name, "select public.enrol(%s)", course)
        lessons = connection.execute("select id from public.lessons where course_id = %s", [course]).fetchall()
        for (lesson,) in lessons:
            self.act(connection, name, "select public.record_progress(%s, 10, true)", lesson)
        self.act(
            connection,
            name,
            "select public.submit_quiz(q.quiz_id, jsonb_build_object(q.id, true)) from public.quiz_questions as q"
            " where q.course_id = %s",
            course,
        )

    def _meet_and_order(self, connection: psycopg.Connection) -> None:
        """The creator has sessions with those who take `free`, and the student orders `paid`."""
        for day, student in enumerate(("student", "suspended"), 1):
            self.act(
                connection,
                "creator",
                "select public.schedule_session(e.id, now() + %s * interval '1 day') from public.enrolments as e"
                " where e.student_id = %s and e.course_id = %s",
                day,
                self.ids[student],
                self.ids["free"],
            )
        self.act(connection, "student", "select public.place_order(course_id => %s)", self.ids["paid"])

    def _trade(self, connection: psycopg.Connection) -> None:
        """The creator sells to the student and the stranger, who has something back; the platform has a member."""
        for name in ("creator", "rival"):
            self.act(
                connection,
                name,
                "insert into public.offers (kind, title, price_amount) values ('service', 'A critique', 900),"
                " ('bundle', 'Everything', 5000) returning id",
            )
            self.act(
                connection,
                name,
                "insert into public.coupons (code, percent_off) values (%s, 10) returning id",
                name.upper(),
            )
            connection.execute("select private.bind_payout_account(%s, %s)", [self.ids[name], f"acct_{name}"])
        self.act(
            connection,
            "creator",
            "insert into public.offer_courses (offer_id, course_id)"
            " select o.id, %s from public.offers as o where o.seller_id = %s and o.kind = 'bundle' returning offer_id",
            self.ids["paid"],
            self.ids["creator"],
        )
        for name in ("creator", "rival"):
            self.act(
                connection,
                name,
                "select public.publish_offer(o.id) from public.offers as o"
                " where o.seller_id = %s and o.kind = 'service'",
                self.ids[name],
            )
        for name in ("student", "stranger"):
            order_id = self.act(
                connection,
                name,
                "select (public.place_order(offer_id => o.id)).id from public.offers as o"
                " where o.seller_id = %s and o.kind = 'service'",
                self.ids["creator"],
            )
            payment = f"pi_{name}"
            session = {
                "object": "checkout.session",
                "id": f"cs_{name}",
                "mode": "payment",
                "status": "complete",
                "payment_status": "paid",
                "payment_intent": payment,
                "amount_total": 900,
                "currency": "eur",
                "customer": f"cus_{name}",
                "metadata": {"order_id": str(order_id)},
            }
            self.tell(connection, "checkout.session.completed", session)
            if name == "stranger":
                self.act(connection, "admin", "select public.refund_order(%s, 300)", order_id)
                dispute = {
                    "object": "dispute",
                    "id": "du_stranger",
                    "payment_intent": payment,
                    "amount": 500,
                    "reason": "fraudulent",
                    "status": "needs_response",
                }
                self.tell(connection, "charge.dispute.created", dispute)
        connection.execute("update public.payment_splits set available_at = now()")
        connection.execute(
            "update public.payout_accounts set can_receive = true where user_id = %s", [self.ids["creator"]]
        )
        connection.execute("update private.app_config set value = '{\"default\": 100}' where key = 'payout_minimum'")
        self.act(connection, "creator", "select public.request_payout('EUR', 200)")
        self._subscribe(connection)
        self.tell(
            connection, "refund.created", {"object": "refund", "id": "re_x", "payment_intent": "pi_x", "amount": 1}
        )
        charge = {
            "id": "txn_x",
            "type": "charge",
            "source": "ch_x",
            "amount": 1,
            "fee": 1,
            "currency": "eur",
            "created": 1,
        }
        connection.execute("select private.keep_balance_transactions(%s)", [Jsonb([charge])])

    def _furnish_shop(self, connection: psycopg.Connection) -> None:
        """Creators have a beat on sale, with its files, and a draft of something else."""
        for name in ("creator", "rival"):
            beat = self.act(
                connection, name, "insert into public.products (kind, title) values ('beat', 'A beat') returning id"
            )
            draft = "insert into public.products (kind, title) values ('digital_product', 'A draft') returning id"
            self.act(connection, name, draft)
            for file_type in ("mp3", "stems"):
                self.act(
                    connection,
                    name,
                    "insert into public.product_files (product_id, file_type, path) values (%s, %s, %s) returning id",
                    beat,
                    file_type,
                    f"{beat}/secret.{file_type}",
                )
            self.act(connection, name, "select public.publish_product(%s)", beat)
            offer = self.act(
                connection,
                name,
                "insert into public.offers (kind, title, product_id, licence_tier, file_types, is_credit_required)"
                " values ('beat_licence', 'A licence', %s, 'basic', '{mp3}', true) returning id",
                beat,
            )
            self.act(connection, name, "select public.publish_offer(%s)", offer)

    def _buy_licence(self, connection: psycopg.Connection) -> None:
        """Who teaches no more has a licence of the creator's beat, which costs nothing."""
        self.act(
            connection,
            "retired",
            "select public.place_order(offer_id => o.id) from public.offers as o"
            " where o.seller_id = %s and o.kind = 'beat_licence'",
            self.ids["creator"],
        )

    def _subscribe(self, connection: psycopg.Connection) -> None:
        """The student is a member of the academy."""
        offer_id = self.act(
            connection,
            "admin",
            "insert into public.offers (seller_id, kind, title, price_amount, billing_interval)"
            " values (null, 'membership', 'Member', 1000, 'month') returning id",
        )
        self.act(connection, "admin", "select public.publish_offer(%s)", offer_id)
        order_id = self.act(connection, "student", "select (public.place_order(offer_id => %s)).id", offer_id)
        invoice = {
            "object": "invoice",
            "id": "in_student",
            "status": "paid",
            "amount_paid": 1000,
            "currency": "eur",
            "billing_reason": "subscription_create",
            "parent": {
                "subscription_details": {"subscription": "sub_student", "metadata": {"order_id": str(order_id)}}
            },
            "lines": {"data": [{"period": {"start": 1700000000, "end": 4000000000}}]},
        }
        self.tell(connection, "invoice.paid", invoice)

    @staticmethod
    def tell(connection: psycopg.Connection, type_: str, object_: dict[str, Any]) -> None:
        """Have Stripe tell something."""
        payload = {"created": 1700000000, "data": {"object": object_}}
        connection.execute(
            "select private.receive_webhook('stripe', %s, %s, %s)", [f"evt_{object_['id']}", type_, Jsonb(payload)]
        )

    def _note_students(self, connection: psycopg.Connection) -> None:
        """The creator notes something about those who take `free`, and fears for the suspended one."""
        for student in ("student", "suspended"):
            self.act(
                connection,
                "creator",
                "insert into public.enrolment_notes (enrolment_id, body, is_at_risk)"
                " select e.id, 'Noted', %s from public.enrolments as e where e.student_id = %s and e.course_id = %s"
                " returning enrolment_id",
                student == "suspended",
                self.ids[student],
                self.ids["free"],
            )

    @staticmethod
    def _id(connection: psycopg.Connection, statement: str, *parameters: Any) -> Any:
        row = connection.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return row[0]
