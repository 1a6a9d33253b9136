-- A small living academy for local work: three creators with eight courses, and people at every stage of learning.
-- Every account has the password `guildhall-demo`. Nothing depends on it. Never run it on a database that strangers
-- can reach.
--
-- People act through the functions of the API, so that the database derives scores, completions and certificates. At
-- the end the seed moves instants into the past, so that not everything happened now.

-- People

insert into auth.users (
    id, instance_id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
    created_at, updated_at, confirmation_token, recovery_token, email_change, email_change_token_new,
    email_change_token_current, phone_change, phone_change_token, reauthentication_token
)
select
    u.id::uuid,
    '00000000-0000-0000-0000-000000000000',
    'authenticated',
    'authenticated',
    u.email,
    p.hash,
    now(),
    '{"provider": "email", "providers": ["email"]}',
    jsonb_build_object('display_name', u.display_name),
    now(),
    now(),
    '',
    '',
    '',
    '',
    '',
    '',
    '',
    ''
from (
    values
    ('5eed0000-0000-4000-8000-000000000001', 'student@example.com', 'Amara Okafor'),
    ('5eed0000-0000-4000-8000-000000000002', 'teacher@example.com', 'Ines Carvalho'),
    ('5eed0000-0000-4000-8000-000000000003', 'moderator@example.com', 'Piotr Zieliński'),
    ('5eed0000-0000-4000-8000-000000000004', 'admin@example.com', 'Ruth Adeyemi'),
    ('5eed0000-0000-4000-8000-000000000005', 'kofi@example.com', 'Kofi Mensah'),
    ('5eed0000-0000-4000-8000-000000000006', 'noor@example.com', 'نور الراشد'),
    ('5eed0000-0000-4000-8000-000000000007', 'yuki@example.com', '佐藤 由紀'),
    ('5eed0000-0000-4000-8000-000000000008', 'lior@example.com', 'ליאור כהן'),
    ('5eed0000-0000-4000-8000-000000000009', 'tomas@example.com', 'Tomás Núñez'),
    ('5eed0000-0000-4000-8000-00000000000a', 'meera@example.com', 'मीरा जोशी'),
    ('5eed0000-0000-4000-8000-00000000000b', 'olena@example.com', 'Олена Шевчук'),
    ('5eed0000-0000-4000-8000-00000000000c', 'sam@example.com', 'Sam Whitlock')
) as u (id, email, display_name)
-- A password hash is slow to make; all accounts share one.
cross join extensions.crypt('guildhall-demo', extensions.gen_salt('bf', 10)) as p (hash);

insert into auth.identities (
    id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
)
select
    gen_random_uuid(),
    u.id::text,
    u.id,
    jsonb_build_object('sub', u.id::text, 'email', u.email, 'email_verified', true, 'phone_verified', false),
    'email',
    now(),
    now(),
    now()
from auth.users as u
where u.id::text like '5eed0000-%';

insert into public.user_roles (user_id, role)
values
('5eed0000-0000-4000-8000-000000000002', 'teacher'),
('5eed0000-0000-4000-8000-000000000003', 'moderator'),
('5eed0000-0000-4000-8000-000000000004', 'superadmin'),
('5eed0000-0000-4000-8000-000000000005', 'teacher'),
('5eed0000-0000-4000-8000-000000000006', 'teacher');

update public.profiles as p
set handle = s.handle, headline = s.headline, bio = s.bio, location = s.location
from (
    values
    (
        '5eed0000-0000-4000-8000-000000000001', 'amara', 'Sound engineer who throws pots at weekends',
        'Ten years behind a mixing desk. Learning to make things that stand still.', 'Lagos'
    ),
    (
        '5eed0000-0000-4000-8000-000000000002', 'ines', 'Potter. Teacher of slow hands.',
        'I run a shared studio by the Douro and have taught wheel throwing since 2009.', 'Porto'
    ),
    ('5eed0000-0000-4000-8000-000000000003', 'piotr', 'Keeps the hall in order', null, 'Gdynia'),
    ('5eed0000-0000-4000-8000-000000000004', 'ruth', 'Runs this academy', null, 'Leeds'),
    (
        '5eed0000-0000-4000-8000-000000000005', 'kofi', 'Highlife guitarist, mixes in a bedroom',
        'Twenty years of Saturday nights in Accra, and a laptop. I teach what I wish somebody had told me.', 'Accra'
    ),
    (
        '5eed0000-0000-4000-8000-000000000006', 'noor', 'خطاطة ومعلمة · calligrapher, and a statistician by day',
        'I write with reed pens and count with R. Both reward those who look twice.', 'عمّان'
    ),
    ('5eed0000-0000-4000-8000-000000000007', 'yuki', '器とことばが好き', null, '京都'),
    ('5eed0000-0000-4000-8000-000000000008', 'lior', 'Drummer in search of a harmony', null, 'חיפה'),
    (
        '5eed0000-0000-4000-8000-000000000009', 'tomas', 'First pots at fifty, now helping others to theirs',
        'Ines taught me to centre. I pass it on, one elbow at a time.', 'Valencia'
    ),
    ('5eed0000-0000-4000-8000-00000000000a', 'meera', null, null, 'पुणे'),
    ('5eed0000-0000-4000-8000-00000000000b', 'olena', 'Letters by hand', null, 'Львів'),
    ('5eed0000-0000-4000-8000-00000000000c', 'sam', null, null, null)
) as s (id, handle, headline, bio, location)
where p.id = s.id::uuid;

insert into public.user_qualifications (user_id, title, issuer, awarded_on, position)
values
('5eed0000-0000-4000-8000-000000000002', 'Master potter', 'Guild of Potters of Porto', '2009-06-20', 1),
('5eed0000-0000-4000-8000-000000000002', 'Diploma in ceramics', 'School of Arts, Caldas da Rainha', '2004-07-02', 2),
('5eed0000-0000-4000-8000-000000000001', 'Sound engineer', 'Lagos Institute of Audio', '2013-11-15', 1),
('5eed0000-0000-4000-8000-000000000005', 'Certificate in music production', 'Accra School of Sound', '2011-09-30', 1),
('5eed0000-0000-4000-8000-000000000006', 'إجازة في خط النسخ', 'بيت الخط العربي', '2016-03-11', 1),
('5eed0000-0000-4000-8000-000000000006', 'MSc in statistics', 'University of Jordan', '2012-06-01', 2);

insert into public.user_expertise (user_id, topic)
values
('5eed0000-0000-4000-8000-000000000002', 'wheel throwing'),
('5eed0000-0000-4000-8000-000000000002', 'glaze chemistry'),
('5eed0000-0000-4000-8000-000000000002', 'wood firing'),
('5eed0000-0000-4000-8000-000000000001', 'mixing'),
('5eed0000-0000-4000-8000-000000000001', 'microphones'),
('5eed0000-0000-4000-8000-000000000005', 'guitar'),
('5eed0000-0000-4000-8000-000000000005', 'mixing'),
('5eed0000-0000-4000-8000-000000000006', 'calligraphy'),
('5eed0000-0000-4000-8000-000000000006', 'statistics'),
('5eed0000-0000-4000-8000-000000000009', 'wheel throwing');

update public.user_settings as s
set time_zone = z.time_zone
from (
    values
    ('5eed0000-0000-4000-8000-000000000001', 'Africa/Lagos'),
    ('5eed0000-0000-4000-8000-000000000002', 'Europe/Lisbon'),
    ('5eed0000-0000-4000-8000-000000000003', 'Europe/Warsaw'),
    ('5eed0000-0000-4000-8000-000000000004', 'Europe/London'),
    ('5eed0000-0000-4000-8000-000000000005', 'Africa/Accra'),
    ('5eed0000-0000-4000-8000-000000000006', 'Asia/Amman'),
    ('5eed0000-0000-4000-8000-000000000007', 'Asia/Tokyo'),
    ('5eed0000-0000-4000-8000-000000000008', 'Asia/Jerusalem'),
    ('5eed0000-0000-4000-8000-000000000009', 'Europe/Madrid'),
    ('5eed0000-0000-4000-8000-00000000000a', 'Asia/Kolkata'),
    ('5eed0000-0000-4000-8000-00000000000b', 'Europe/Kyiv')
) as z (user_id, time_zone)
where s.user_id = z.user_id::uuid;

insert into public.follows (follower_id, followee_id)
select
    f.id as follower_id,
    t.id as followee_id
from (
    values
    ('amara', 'ines'), ('piotr', 'ines'), ('ruth', 'ines'), ('tomas', 'ines'), ('yuki', 'ines'), ('ines', 'amara'),
    ('amara', 'kofi'), ('lior', 'kofi'), ('sam', 'kofi'), ('kofi', 'amara'), ('olena', 'noor'), ('meera', 'noor'),
    ('yuki', 'noor')
) as s (follower, followee)
inner join public.profiles as f on s.follower = f.handle
inner join public.profiles as t on s.followee = t.handle;

-- Helpers

create function pg_temp.act_as(p_handle text) returns uuid
language sql
as $$
    select (set_config(
        'request.jwt.claims', jsonb_build_object('sub', p.id, 'role', 'authenticated')::text, false
    )::jsonb ->> 'sub')::uuid
    from public.profiles as p
    where p.handle = p_handle
$$;

create function pg_temp.write_course(p_handle text, p_course jsonb) returns void
language plpgsql
as $$
declare
    v_course_id uuid;
    v_module_id uuid;
    v_lesson_id uuid;
    v_quiz_id uuid;
    v_module jsonb;
    v_lesson jsonb;
    v_question jsonb;
begin
    insert into public.courses (
        creator_id, category_id, slug, title, subtitle, description, level, language, objectives, includes,
        prerequisites, target_audience, tags, is_intro, price_amount, price_currency
    )
    select
        pg_temp.act_as(p_handle), k.id, c.slug, c.title, c.subtitle, c.description, c.level, coalesce(c.language, 'en'),
        coalesce(c.objectives, '{}'), coalesce(c.includes, '{}'), coalesce(c.prerequisites, '{}'),
        coalesce(c.target_audience, '{}'), coalesce(c.tags, '{}'), coalesce(c.is_intro, false),
        coalesce(c.price_amount, 0), 'EUR'
    from jsonb_populate_record(null::public.courses, p_course) as c
    join public.categories as k on k.slug = p_course ->> 'category'
    returning id into v_course_id;
    for v_module in select m.value from jsonb_array_elements(p_course -> 'modules') as m loop
        insert into public.modules (course_id, title, description)
        values (v_course_id, v_module ->> 'title', v_module ->> 'description')
        returning id into v_module_id;
        for v_lesson in select l.value from jsonb_array_elements(v_module -> 'lessons') as l loop
            insert into public.lessons (module_id, title, summary, duration_seconds, is_intro)
            values (
                v_module_id, v_lesson ->> 'title', v_lesson ->> 'summary', (v_lesson ->> 'minutes')::integer * 60,
                coalesce((v_lesson ->> 'is_intro')::boolean, false)
            )
            returning id into v_lesson_id;
            insert into public.lesson_contents (lesson_id, body)
            select v_lesson_id, format(E'# %s\n\n%s', v_lesson ->> 'title', v_lesson ->> 'body')
            where v_lesson ? 'body';
        end loop;
    end loop;
    if p_course ? 'quiz' then
        insert into public.quizzes (course_id, title, pass_percent)
        values (v_course_id, p_course #>> '{quiz,title}', 60)
        returning id into v_quiz_id;
        for v_question in select q.value from jsonb_array_elements(p_course #> '{quiz,questions}') as q loop
            perform public.save_quiz_question(
                quiz_id => v_quiz_id,
                kind => (v_question ->> 'kind')::public.question_kind,
                prompt => v_question ->> 'prompt',
                options => coalesce(v_question -> 'options', '[]'),
                answer => v_question -> 'answer',
                points => coalesce((v_question ->> 'points')::smallint, 1::smallint),
                explanation => v_question ->> 'explanation'
            );
        end loop;
    end if;
    if coalesce((p_course ->> 'is_published')::boolean, true) then
        perform public.publish_course(v_course_id);
    end if;
end
$$;

create function pg_temp.learn(p_handle text, p_slug text, p_lessons integer, p_answers text default null) returns void
language plpgsql
as $$
declare
    v_course_id uuid := (select c.id from public.courses as c where c.slug = p_slug);
    v_lesson_id uuid;
begin
    perform pg_temp.act_as(p_handle);
    perform public.enrol(v_course_id);
    for v_lesson_id in
        select l.id from public.lessons as l
        join public.modules as m on m.id = l.module_id
        where l.course_id = v_course_id
        order by m.position, l.position
        limit p_lessons
    loop
        perform public.record_progress(v_lesson_id, null, true);
    end loop;
    if p_answers is not null then
        perform public.submit_quiz(q.quiz_id, jsonb_object_agg(
            q.id, case p_answers when 'right' then k.answer else to_jsonb('not sure'::text) end
        ))
        from public.quiz_questions as q
        join private.quiz_answer_keys as k on k.question_id = q.id
        where q.course_id = v_course_id
        group by q.quiz_id;
    end if;
end
$$;

-- The catalogue

insert into public.categories (slug, name, description, position)
values
('craft', 'Craft', 'Things made by hand', 1),
('music', 'Music', 'Playing, writing, recording', 2),
('writing', 'Writing', 'From the first line to the last', 3),
('science', 'Science', 'Looking twice, and counting', 4);

select pg_temp.write_course('ines', $course$
{
    "category": "craft",
    "slug": "first-pots-on-the-wheel",
    "title": "First pots on the wheel",
    "subtitle": "Centre, open, pull: a weekend's worth of clay",
    "description": "Everybody's first cylinder collapses. This course goes from wedging the clay to a mug that holds coffee, with the four mistakes that nearly all beginners make and how your hands can feel them coming.",
    "level": "beginner",
    "objectives": ["Wedge and centre a kilo of clay", "Pull an even wall", "Recognise clay that is too wet"],
    "includes": ["Four lessons", "A quiz", "A certificate"],
    "prerequisites": ["Access to a wheel"],
    "target_audience": ["People who have never thrown"],
    "tags": ["pottery", "clay", "wheel"],
    "modules": [
        {
            "title": "Before the wheel turns",
            "lessons": [
                {
                    "title": "Wedging", "summary": "Air out, rhythm in", "minutes": 7, "is_intro": true,
                    "body": "Push, roll, turn. Sixty times. This is not kneading bread: no air goes in, all of it goes.\n\nCut the block with a wire. If you see holes, go on."
                },
                {
                    "title": "Water, speed and your elbows", "summary": "Three things to settle before you start", "minutes": 9,
                    "body": "A sponge, not a bucket. Fast for centring, slow for pulling. Elbows on your thighs, always: the wheel is stronger than your arms, but not than your legs."
                }
            ]
        },
        {
            "title": "Throwing",
            "lessons": [
                {
                    "title": "Centring", "summary": "The clay wants to be still", "minutes": 15,
                    "body": "Left hand pushes, right hand holds. Cone up, cone down, twice. Eyes closed: when nothing knocks, it is centred."
                },
                {
                    "title": "Opening and pulling", "summary": "From a puck to a wall", "minutes": 20,
                    "body": "Open to a finger's width from the wheel head, no deeper. Then pull from the bottom, slowly, and never stop halfway: a pull that stops leaves a ring that will crack."
                }
            ]
        }
    ],
    "quiz": {
        "title": "Do your hands know it?",
        "questions": [
            {
                "kind": "single", "prompt": "What is wedging for?", "answer": "b",
                "options": [
                    {"id": "a", "text": "To make the clay warmer"}, {"id": "b", "text": "To get the air out"},
                    {"id": "c", "text": "To colour it"}
                ],
                "explanation": "Air in the wall becomes a hole on the wheel."
            },
            {
                "kind": "multiple", "prompt": "Which of these help while centring?", "answer": ["a", "b"], "points": 2,
                "options": [
                    {"id": "a", "text": "Elbows on your thighs"}, {"id": "b", "text": "A fast wheel"},
                    {"id": "c", "text": "A bucket of water"}
                ],
                "explanation": "Water only softens what you want to be firm."
            },
            {
                "kind": "true_false", "prompt": "A pull may stop halfway up.", "answer": false,
                "explanation": "It leaves a ring that cracks."
            }
        ]
    }
}
$course$);

select pg_temp.write_course('ines', $course$
{
    "category": "craft",
    "slug": "glaze-chemistry-without-tears",
    "title": "Glaze chemistry without tears",
    "subtitle": "Read a recipe, change it, and know why it ran",
    "description": "Silica, alumina, flux: three words that explain most accidents in the kiln.",
    "level": "intermediate",
    "price_amount": 4900,
    "objectives": ["Read a unity formula", "Mend a glaze that crawls"],
    "includes": ["Three lessons", "A worked spreadsheet"],
    "prerequisites": ["You have fired your own pots"],
    "target_audience": ["Potters who buy glaze in jars"],
    "tags": ["pottery", "glaze", "chemistry"],
    "modules": [
        {
            "title": "What a glaze is",
            "lessons": [
                {
                    "title": "Glass that stays on the pot", "summary": "Silica, alumina, flux", "minutes": 25, "is_intro": true,
                    "body": "Silica makes the glass, flux melts it, alumina keeps it from running onto the shelf. Every recipe is an argument between the three."
                },
                {
                    "title": "The unity formula", "summary": "Counting molecules, not grams", "minutes": 30,
                    "body": "Weigh by the gram, think by the molecule. Divide each oxide's weight by its molecular weight, then all of them by the sum of the fluxes: what is left tells you what will melt, and at which cone."
                },
                {
                    "title": "Why it crawled", "summary": "Reading an accident", "minutes": 22,
                    "body": "Dust, oil, or a glaze that shrank more than the pot. Wash your bisque. Then test."
                }
            ]
        }
    ]
}
$course$);

select pg_temp.write_course('ines', $course$
{
    "is_published": false,
    "category": "craft",
    "slug": "building-a-wood-kiln",
    "title": "Building a wood kiln",
    "subtitle": "Still being written",
    "level": "advanced",
    "tags": ["kiln"],
    "modules": [
        {"title": "Choosing the site", "lessons": [{"title": "Wind and neighbours"}]}
    ]
}
$course$);

select pg_temp.write_course('kofi', $course$
{
    "category": "music",
    "slug": "tune-your-ears",
    "title": "Tune your ears",
    "subtitle": "Three short evenings of listening",
    "description": "Before any instrument there is listening. Hear a fifth, hear when a string is flat, hear where the beat is although nobody plays it. A taster: nothing to buy, nothing to know.",
    "level": "all",
    "is_intro": true,
    "objectives": ["Tell a fourth from a fifth", "Tune a guitar without a machine"],
    "includes": ["Three lessons"],
    "target_audience": ["Anybody with ears"],
    "tags": ["listening", "guitar"],
    "modules": [
        {
            "title": "Listening",
            "lessons": [
                {
                    "title": "The space between two notes", "minutes": 12, "is_intro": true,
                    "body": "Sing the first two notes of a song you know. Now sing only the second. The distance is what we name: a fourth sounds like a question, a fifth like an answer."
                },
                {
                    "title": "Flat, sharp, beating", "minutes": 14,
                    "body": "Two strings that nearly agree fight: you hear it as a slow pulse. Turn until the pulse stops. That is all tuning is."
                },
                {
                    "title": "Where is one?", "minutes": 10,
                    "body": "Clap where nobody plays. If the band still makes sense, you have found the beat."
                }
            ]
        }
    ]
}
$course$);

select pg_temp.write_course('kofi', $course$
{
    "category": "music",
    "slug": "highlife-guitar-in-ten-evenings",
    "title": "Highlife guitar in ten evenings",
    "subtitle": "Two strings, three chords, one endless Saturday",
    "description": "The patterns behind sixty years of dance bands: the odonson line, the yaa amponsah bass, and how to leave room for the singer. Ten evenings, one thumb.",
    "level": "beginner",
    "price_amount": 6500,
    "objectives": ["Play the yaa amponsah pattern at 110 beats a minute", "Follow a singer without looking"],
    "includes": ["Four lessons", "Backing tracks", "A certificate"],
    "prerequisites": ["Six strings in tune"],
    "target_audience": ["Guitarists who know three chords"],
    "tags": ["guitar", "highlife", "ghana"],
    "modules": [
        {
            "title": "The thumb",
            "lessons": [
                {
                    "title": "Bass on one, air on three", "minutes": 18, "is_intro": true,
                    "body": "Your thumb is the drummer. Let it walk from the root to the fifth, and keep it there until you forget it."
                },
                {
                    "title": "Yaa Amponsah", "minutes": 24,
                    "body": "The mother of all highlife songs, in C. Learn the bass first; sing it; only then add two fingers."
                }
            ]
        },
        {
            "title": "The fingers",
            "lessons": [
                {
                    "title": "Thirds that talk", "minutes": 21,
                    "body": "Two strings together, sliding. Never on the beat: the beat belongs to the thumb."
                },
                {
                    "title": "Leaving room", "minutes": 16,
                    "body": "The best highlife guitarist you have heard played half of what you think. Record yourself with a singer. Then remove every second phrase."
                }
            ]
        }
    ],
    "quiz": {
        "title": "Thumb and ears",
        "questions": [
            {
                "kind": "single", "prompt": "Whom does the beat belong to?", "answer": "a",
                "options": [{"id": "a", "text": "The thumb"}, {"id": "b", "text": "The fingers"}, {"id": "c", "text": "The singer"}]
            },
            {"kind": "true_false", "prompt": "You learn the melody of Yaa Amponsah before its bass.", "answer": false}
        ]
    }
}
$course$);

select pg_temp.write_course('kofi', $course$
{
    "category": "music",
    "slug": "mixing-in-a-small-room",
    "title": "Mixing in a small room",
    "subtitle": "Your walls lie. Here is how to hear through them.",
    "description": "A bedroom, two cheap speakers and a duvet are enough, if you know what the room does to you. Levels first, equaliser second, reverb last, sleep in between.",
    "level": "intermediate",
    "objectives": ["Find the frequencies your room invents", "Balance a vocal in ten minutes", "Know when to stop"],
    "includes": ["Five lessons", "A quiz", "A certificate"],
    "prerequisites": ["A recording of your own"],
    "target_audience": ["People who record at home"],
    "tags": ["mixing", "recording", "home studio"],
    "modules": [
        {
            "title": "The room",
            "lessons": [
                {
                    "title": "Walk around a sine wave", "minutes": 11, "is_intro": true,
                    "body": "Play 80 Hz and walk. Where it disappears, never sit. Where it roars, never trust."
                },
                {
                    "title": "Quiet is a measuring tool", "minutes": 9,
                    "body": "Mix so low that you can talk over it. What you still hear is what matters."
                }
            ]
        },
        {
            "title": "The mix",
            "lessons": [
                {
                    "title": "Levels are nine tenths", "minutes": 19,
                    "body": "No plug-ins for the first hour. Faders and pans only. Most songs are finished there."
                },
                {
                    "title": "Cut before you boost", "minutes": 17,
                    "body": "If two things fight for 300 Hz, decide who lives there. The other one moves out."
                },
                {
                    "title": "Sleep on it", "minutes": 8,
                    "body": "Ears tire after ninety minutes and lie for three hours more. Export, go to bed, listen on the bus."
                }
            ]
        }
    ],
    "quiz": {
        "title": "Can you hear the room?",
        "questions": [
            {
                "kind": "single", "prompt": "What comes first?", "answer": "levels",
                "options": [
                    {"id": "reverb", "text": "Reverb"}, {"id": "levels", "text": "Levels"}, {"id": "equaliser", "text": "Equaliser"}
                ]
            },
            {
                "kind": "multiple", "prompt": "Which tell you that your ears are tired?", "answer": ["a", "c"], "points": 2,
                "options": [
                    {"id": "a", "text": "Everything wants more treble"}, {"id": "b", "text": "The song ends"},
                    {"id": "c", "text": "You turn it up again and again"}
                ]
            },
            {"kind": "true_false", "prompt": "A louder mix is a better mix.", "answer": false}
        ]
    }
}
$course$);

select pg_temp.write_course('noor', $course$
{
    "category": "writing",
    "slug": "khatt-first-strokes",
    "language": "ar",
    "title": "الخط العربي: أول القصبة",
    "subtitle": "من النقطة إلى السطر",
    "description": "نبدأ بالنقطة، فهي ميزان الحروف كلها. ثم الألف، ثم الباء، ثم سطر واحد يُقرأ من بعيد. لا يلزمك إلا قصبة وحبر وصبر.",
    "level": "beginner",
    "objectives": ["برْيُ القصبة بزاوية صحيحة", "كتابة الألف والباء بميزان النقطة"],
    "includes": ["ثلاثة دروس", "شهادة"],
    "target_audience": ["من لم يمسك قصبة من قبل"],
    "tags": ["خط", "نسخ", "calligraphy"],
    "modules": [
        {
            "title": "القصبة والنقطة",
            "lessons": [
                {
                    "title": "كيف تُبرى القصبة", "minutes": 13, "is_intro": true,
                    "body": "اقطع مائلًا، ثم شقّ الرأس شقًّا رفيعًا. إن سال الحبر قبل أن تلمس الورق فالشقّ واسع."
                },
                {
                    "title": "النقطة ميزان", "minutes": 16,
                    "body": "ضع القصبة بزاويتها واسحب قدر عرضها. هذه نقطة. الألف خمسٌ منها، لا تزيد."
                }
            ]
        },
        {
            "title": "السطر",
            "lessons": [
                {
                    "title": "ألف، باء، وفراغ", "minutes": 22,
                    "body": "ما تتركه أبيض أصعب مما تكتبه أسود. انظر إلى الفراغ قبل الحرف."
                }
            ]
        }
    ],
    "quiz": {
        "title": "هل استقامت الألف؟",
        "questions": [
            {
                "kind": "single", "prompt": "كم نقطة طول الألف؟", "answer": "five",
                "options": [{"id": "three", "text": "ثلاث"}, {"id": "five", "text": "خمس"}, {"id": "nine", "text": "تسع"}]
            },
            {"kind": "true_false", "prompt": "الفراغ جزء من الحرف.", "answer": true}
        ]
    }
}
$course$);

select pg_temp.write_course('noor', $course$
{
    "category": "science",
    "slug": "statistics-for-the-curious",
    "title": "Statistics for the curious",
    "subtitle": "How to be less wrong about numbers",
    "description": "Averages hide, percentages flatter, and a chart can say anything. Six questions to ask of any number that wants something from you, with real data and no formulas before they are needed.",
    "level": "all",
    "price_amount": 3500,
    "objectives": ["Ask what an average hides", "Read a confidence interval aloud", "Spot a chart that cheats"],
    "includes": ["Four lessons", "Three data sets", "A quiz", "A certificate"],
    "target_audience": ["People who read newspapers"],
    "tags": ["statistics", "data", "charts"],
    "modules": [
        {
            "title": "Looking",
            "lessons": [
                {
                    "title": "The average nobody has", "minutes": 15, "is_intro": true,
                    "body": "In a street of nine teachers and one banker everybody is rich, on average. Ask for the median, then for the picture."
                },
                {
                    "title": "Charts that cheat", "minutes": 18,
                    "body": "Where does the axis begin? Who chose the years? What is missing? Three questions undo most charts."
                }
            ]
        },
        {
            "title": "Counting",
            "lessons": [
                {
                    "title": "How sure is sure", "minutes": 26,
                    "body": "A poll of a thousand people is within three points, nineteen times out of twenty. The twentieth time nobody writes about."
                },
                {
                    "title": "Because, or meanwhile", "minutes": 21,
                    "body": "Storks and babies come in the same season. Before you say *because*, say what else came then."
                }
            ]
        }
    ],
    "quiz": {
        "title": "Less wrong than before",
        "questions": [
            {
                "kind": "single", "prompt": "Nine people earn 2, one earns 82. The median is", "answer": "two",
                "options": [{"id": "two", "text": "2"}, {"id": "ten", "text": "10"}, {"id": "eightytwo", "text": "82"}],
                "explanation": "Line them up and take the middle: the banker does not matter."
            },
            {"kind": "true_false", "prompt": "Two things that rise together cause each other.", "answer": false}
        ]
    }
}
$course$);

-- People who learn, at every stage

create function pg_temp.course(p_slug text) returns uuid
language sql
as $$
    select c.id from public.courses as c where c.slug = p_slug
$$;

create function pg_temp.enrolment(p_handle text, p_slug text) returns uuid
language sql
as $$
    select e.id
    from public.enrolments as e
    join public.profiles as p on p.id = e.student_id
    where p.handle = p_handle and e.course_id = pg_temp.course(p_slug)
$$;

create function pg_temp.buy(p_handle text, p_slug text) returns void
language plpgsql
as $$
declare
    v_order_id uuid;
begin
    perform pg_temp.act_as(p_handle);
    v_order_id := (public.place_order(course_id => pg_temp.course(p_slug))).id;
    perform pg_temp.act_as('ruth');
    perform public.mark_order_paid(v_order_id, 'Bank transfer');
end
$$;

-- Completed, and helping others.
select pg_temp.learn('tomas', 'first-pots-on-the-wheel', 4, 'right');
do $$
declare
    v_student_teacher_id uuid;
begin
    perform pg_temp.act_as('tomas');
    v_student_teacher_id := (public.apply_as_student_teacher(
        pg_temp.course('first-pots-on-the-wheel'),
        'I centred my first pot at fifty-one and have kept every ugly one. Weekday evenings, in Spanish or English.'
    )).id;
    perform pg_temp.act_as('ines');
    perform public.decide_student_teacher(v_student_teacher_id, true);
    -- Yuki studies with Tomas and is recommended for the certificate.
    perform pg_temp.learn('yuki', 'first-pots-on-the-wheel', 3, 'wrong');
    perform public.choose_student_teacher(v_student_teacher_id);
    perform pg_temp.act_as('tomas');
    perform public.schedule_session(
        pg_temp.enrolment('yuki', 'first-pots-on-the-wheel'), date_trunc('hour', now()) + interval '2 days', 45,
        'Europe/Madrid', 'Pulling without stopping'
    );
    perform public.recommend_certificate(
        pg_temp.enrolment('yuki', 'first-pots-on-the-wheel'), 'Her cups hold. The quiz was a language matter.'
    );
end
$$;

-- In progress, in a free course and in a paid one.
select pg_temp.learn('amara', 'first-pots-on-the-wheel', 2);
select pg_temp.buy('amara', 'highlife-guitar-in-ten-evenings');
select pg_temp.learn('amara', 'highlife-guitar-in-ten-evenings', 1);
-- Started, but inactive.
select pg_temp.learn('lior', 'mixing-in-a-small-room', 1, 'wrong');
-- An intro course, taken and left.
select pg_temp.learn('lior', 'tune-your-ears', 3);
select pg_temp.learn('sam', 'tune-your-ears', 1);
select public.leave_course(pg_temp.course('tune-your-ears'));
-- Completed, in Arabic; then a paid one.
select pg_temp.learn('olena', 'khatt-first-strokes', 3, 'right');
select pg_temp.buy('olena', 'statistics-for-the-curious');
select pg_temp.learn('olena', 'statistics-for-the-curious', 2);
-- Enrolled just now, and about to buy.
select pg_temp.learn('meera', 'khatt-first-strokes', 0);
select public.place_order(course_id => pg_temp.course('statistics-for-the-curious'));
-- A certificate, earned and revoked.
select pg_temp.learn('sam', 'mixing-in-a-small-room', 5, 'right');
do $$
begin
    perform pg_temp.act_as('ruth');
    perform public.revoke_certificate(c.id, 'Somebody else took the quiz.')
    from public.certificates as c
    where c.enrolment_id = pg_temp.enrolment('sam', 'mixing-in-a-small-room');
end
$$;

-- Other offers. A seed cannot upload: the files of products have rows in storage, and no bytes.

select pg_temp.act_as('kofi');
insert into public.products (id, kind, title, description, bpm, musical_key)
values
(
    '5eed0000-0000-4000-8000-000000000d01', 'beat', 'Midnight in Osu',
    'A slow highlife in 104, two guitars and a tired trumpet.', 104, 'F# minor'
),
(
    '5eed0000-0000-4000-8000-000000000d02', 'digital_product', 'Forty palm-wine licks',
    'Forty licks, played slowly and then properly, with tablature.', null, null
);
insert into public.product_files (product_id, file_type, path, mime_type)
select
    f.product_id::uuid,
    f.file_type::public.file_type,
    f.product_id || '/' || f.name,
    f.mime_type
from (
    values
    ('5eed0000-0000-4000-8000-000000000d01', 'mp3', 'midnight-in-osu.mp3', 'audio/mpeg'),
    ('5eed0000-0000-4000-8000-000000000d01', 'wav', 'midnight-in-osu.wav', 'audio/wav'),
    ('5eed0000-0000-4000-8000-000000000d01', 'stems', 'midnight-in-osu-stems.zip', 'application/zip'),
    ('5eed0000-0000-4000-8000-000000000d02', 'other', 'forty-palm-wine-licks.zip', 'application/zip')
) as f (product_id, file_type, name, mime_type);
insert into storage.objects (bucket_id, name, owner, owner_id, metadata)
select
    'products',
    f.path,
    auth.uid(),
    auth.uid()::text,
    jsonb_build_object('mimetype', f.mime_type, 'size', 0)
from public.product_files as f;
select public.publish_product(p.id) from public.products as p where p.creator_id = auth.uid();
insert into public.offers (id, kind, title, price_amount, price_currency, product_id)
values
(
    '5eed0000-0000-4000-8000-000000000e03', 'beat_licence', 'Midnight in Osu: basic licence', 2500, 'USD',
    '5eed0000-0000-4000-8000-000000000d01'
),
(
    '5eed0000-0000-4000-8000-000000000e04', 'beat_licence', 'Midnight in Osu: premium licence', 6000, 'USD',
    '5eed0000-0000-4000-8000-000000000d01'
),
(
    '5eed0000-0000-4000-8000-000000000e05', 'beat_licence', 'Midnight in Osu: exclusive licence', 90000, 'USD',
    '5eed0000-0000-4000-8000-000000000d01'
);
insert into public.licence_terms (
    offer_id, tier, file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances,
    is_credit_required, term_years
)
values
('5eed0000-0000-4000-8000-000000000e03', 'basic', '{mp3}', 2000, 50000, 1, 0, true, 2),
('5eed0000-0000-4000-8000-000000000e04', 'premium', '{mp3,wav}', 10000, 500000, 1, 20, true, 10),
('5eed0000-0000-4000-8000-000000000e05', 'exclusive', '{mp3,wav,stems}', null, null, null, null, false, null);
insert into public.offers (kind, title, description, price_amount, price_currency, product_id)
values (
    'digital_product', 'Forty palm-wine licks', 'To keep, and to wear out.', 1500, 'USD',
    '5eed0000-0000-4000-8000-000000000d02'
);
insert into public.offers (kind, title, description, price_amount, price_currency, maximum_amount, duration_minutes)
values
('coaching', 'An hour with your mix', 'Send the session; we listen together.', 7000, 'USD', null, 60),
('tip', 'A coffee for Kofi', 'As much as you like.', 100, 'USD', 20000, null);
insert into public.offers (id, kind, title, description, price_amount, price_currency)
values (
    '5eed0000-0000-4000-8000-000000000e01', 'bundle', 'Guitar and room',
    'All that Kofi teaches, for less than its parts.', 6900, 'USD'
);
insert into public.offer_courses (offer_id, course_id)
select
    '5eed0000-0000-4000-8000-000000000e01',
    c.id
from public.courses as c
where c.creator_id = auth.uid() and c.status = 'published';
select public.publish_offer(o.id) from public.offers as o where o.seller_id = auth.uid() and o.status = 'draft';

select pg_temp.act_as('ines');
insert into public.offers (id, kind, title, description, price_amount, price_currency, billing_interval, trial_days)
values (
    '5eed0000-0000-4000-8000-000000000e02', 'membership', 'The open studio',
    'Every course of mine while you are a member, and a question a week.', 1500, 'EUR', 'month', 14
);
insert into public.offer_courses (offer_id, course_id)
select
    '5eed0000-0000-4000-8000-000000000e02',
    c.id
from public.courses as c
where c.creator_id = auth.uid() and c.status = 'published';
select public.publish_offer('5eed0000-0000-4000-8000-000000000e02');

-- Two orders of licences: a paid one, with a contract to print, and a pending one.
do $$
declare
    v_order_id uuid;
begin
    perform pg_temp.act_as('lior');
    v_order_id := (public.place_order(offer_id => '5eed0000-0000-4000-8000-000000000e04')).id;
    perform pg_temp.act_as('ruth');
    perform public.mark_order_paid(v_order_id, 'Bank transfer');
    perform pg_temp.act_as('sam');
    perform public.place_order(offer_id => '5eed0000-0000-4000-8000-000000000e03');
end
$$;

-- A note of Kofi about a student.
select pg_temp.act_as('kofi');
insert into public.enrolment_notes (enrolment_id, body, is_at_risk, at_risk_reason)
values (
    pg_temp.enrolment('lior', 'mixing-in-a-small-room'), 'Good ears, no time. Write again after the holidays.', true,
    'One lesson in five weeks'
);
select set_config('request.jwt.claims', '', false);

-- Marks the mails as sent, and moves instants into the past.

update private.mail_outbox as m
set status = 'sent', sent_at = now()
where m.status = 'unsent';

do $$
declare
    v_past record;
begin
    for v_past in
        select pg_temp.enrolment(s.handle, s.slug) as enrolment_id, s.days * interval '1 day' as ago
        from (
            values
            ('tomas', 'first-pots-on-the-wheel', 210),
            ('yuki', 'first-pots-on-the-wheel', 24),
            ('amara', 'first-pots-on-the-wheel', 12),
            ('amara', 'highlife-guitar-in-ten-evenings', 5),
            ('lior', 'mixing-in-a-small-room', 36),
            ('lior', 'tune-your-ears', 60),
            ('sam', 'tune-your-ears', 90),
            ('sam', 'mixing-in-a-small-room', 80),
            ('olena', 'khatt-first-strokes', 45),
            ('olena', 'statistics-for-the-curious', 9)
        ) as s (handle, slug, days)
    loop
        update public.enrolments as e
        set
            enrolled_at = e.enrolled_at - v_past.ago,
            last_activity_at = e.last_activity_at - v_past.ago * 0.8,
            completed_at = e.completed_at - v_past.ago * 0.8
        where e.id = v_past.enrolment_id;
        update public.lesson_progress as p
        set completed_at = p.completed_at - v_past.ago * 0.8
        where p.enrolment_id = v_past.enrolment_id;
        update public.quiz_attempts as a
        set submitted_at = a.submitted_at - v_past.ago * 0.8
        where a.enrolment_id = v_past.enrolment_id;
        update public.certificates as c
        set
            issued_at = c.issued_at - v_past.ago * 0.8,
            revoked_at = c.revoked_at - v_past.ago * 0.2
        where c.enrolment_id = v_past.enrolment_id;
    end loop;
end
$$;
