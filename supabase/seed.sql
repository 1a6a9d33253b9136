-- A small living academy for local work: four accounts with the password `guildhall-demo`, three courses, one student
-- under way. Nothing depends on it. Never run it on a database that strangers can reach.

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
    extensions.crypt('guildhall-demo', extensions.gen_salt('bf', 10)),
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
    ('5eed0000-0000-4000-8000-000000000003', 'moderator@example.com', 'Piotr Zielinski'),
    ('5eed0000-0000-4000-8000-000000000004', 'admin@example.com', 'Ruth Adeyemi')
) as u (id, email, display_name);

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
('5eed0000-0000-4000-8000-000000000004', 'superadmin');

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
    ('5eed0000-0000-4000-8000-000000000004', 'ruth', 'Runs this academy', null, 'Leeds')
) as s (id, handle, headline, bio, location)
where p.id = s.id::uuid;

insert into public.user_qualifications (user_id, title, issuer, awarded_on, position)
values
('5eed0000-0000-4000-8000-000000000002', 'Master potter', 'Guild of Potters of Porto', '2009-06-20', 1),
('5eed0000-0000-4000-8000-000000000002', 'Diploma in ceramics', 'School of Arts, Caldas da Rainha', '2004-07-02', 2),
('5eed0000-0000-4000-8000-000000000001', 'Sound engineer', 'Lagos Institute of Audio', '2013-11-15', 1);

insert into public.user_expertise (user_id, topic)
values
('5eed0000-0000-4000-8000-000000000002', 'wheel throwing'),
('5eed0000-0000-4000-8000-000000000002', 'glaze chemistry'),
('5eed0000-0000-4000-8000-000000000002', 'wood firing'),
('5eed0000-0000-4000-8000-000000000001', 'mixing'),
('5eed0000-0000-4000-8000-000000000001', 'microphones');

update public.user_settings as s
set time_zone = z.time_zone
from (
    values
    ('5eed0000-0000-4000-8000-000000000001', 'Africa/Lagos'),
    ('5eed0000-0000-4000-8000-000000000002', 'Europe/Lisbon'),
    ('5eed0000-0000-4000-8000-000000000003', 'Europe/Warsaw'),
    ('5eed0000-0000-4000-8000-000000000004', 'Europe/London')
) as z (user_id, time_zone)
where s.user_id = z.user_id::uuid;

insert into public.follows (follower_id, followee_id)
values
('5eed0000-0000-4000-8000-000000000001', '5eed0000-0000-4000-8000-000000000002'),
('5eed0000-0000-4000-8000-000000000003', '5eed0000-0000-4000-8000-000000000002'),
('5eed0000-0000-4000-8000-000000000004', '5eed0000-0000-4000-8000-000000000002'),
('5eed0000-0000-4000-8000-000000000002', '5eed0000-0000-4000-8000-000000000001');

insert into public.categories (slug, name, description, position)
values
('craft', 'Craft', 'Things made by hand', 1),
('music', 'Music', 'Playing, writing, recording', 2),
('writing', 'Writing', 'From the first line to the last', 3);

insert into public.courses (
    id, creator_id, category_id, slug, title, subtitle, description, level, objectives, includes, prerequisites,
    target_audience, tags, price_amount, price_currency
)
select
    c.id::uuid,
    '5eed0000-0000-4000-8000-000000000002',
    k.id,
    c.slug,
    c.title,
    c.subtitle,
    c.description,
    c.level::public.course_level,
    c.objectives,
    c.includes,
    c.prerequisites,
    c.target_audience,
    c.tags,
    c.price_amount,
    'EUR'
from (
    values
    (
        'c0000000-0000-4000-8000-000000000001', 'craft', 'first-pots-on-the-wheel', 'First pots on the wheel',
        'Centre, open, pull: a weekend''s worth of clay',
        'Everybody''s first cylinder collapses. This course goes from wedging the clay to a mug that holds coffee, '
        || 'with the four mistakes that nearly all beginners make and how your hands can feel them coming.',
        'beginner',
        array['Wedge and centre a kilo of clay', 'Pull an even wall', 'Recognise clay that is too wet'],
        array['Four lessons', 'A quiz', 'A certificate'],
        array['Access to a wheel'], array['People who have never thrown'], array['pottery', 'clay', 'wheel'], 0
    ),
    (
        'c0000000-0000-4000-8000-000000000002', 'craft', 'glaze-chemistry-without-tears',
        'Glaze chemistry without tears', 'Read a recipe, change it, and know why it ran',
        'Silica, alumina, flux: three words that explain most accidents in the kiln.',
        'intermediate',
        array['Read a unity formula', 'Mend a glaze that crawls'],
        array['Three lessons'],
        array['You have fired your own pots'], array['Potters who buy glaze in jars'], array['pottery', 'glaze'], 4900
    ),
    (
        'c0000000-0000-4000-8000-000000000003', 'craft', 'building-a-wood-kiln', 'Building a wood kiln',
        'Still being written', null, 'advanced', array[]::text[], array[]::text[], array[]::text[], array[]::text[],
        array['kiln'], 0
    )
)
    as c (
        id, category, slug, title, subtitle, description, level, objectives, includes, prerequisites, target_audience,
        tags, price_amount
    )
inner join public.categories as k on c.category = k.slug;

insert into public.modules (id, course_id, title)
values
('a0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000001', 'Before the wheel turns'),
('a0000000-0000-4000-8000-000000000002', 'c0000000-0000-4000-8000-000000000001', 'Throwing'),
('a0000000-0000-4000-8000-000000000003', 'c0000000-0000-4000-8000-000000000002', 'What a glaze is'),
('a0000000-0000-4000-8000-000000000004', 'c0000000-0000-4000-8000-000000000003', 'Choosing the site');

insert into public.lessons (id, module_id, title, summary, duration_seconds, is_intro)
values
(
    '1e550000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'Wedging',
    'Air out, rhythm in', 420, true
),
(
    '1e550000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', 'Water, speed and your elbows',
    'Three things to settle before you start', 540, false
),
(
    '1e550000-0000-4000-8000-000000000003', 'a0000000-0000-4000-8000-000000000002', 'Centring',
    'The clay wants to be still', 900, false
),
(
    '1e550000-0000-4000-8000-000000000004', 'a0000000-0000-4000-8000-000000000002', 'Opening and pulling',
    'From a puck to a wall', 1200, false
),
(
    '1e550000-0000-4000-8000-000000000005', 'a0000000-0000-4000-8000-000000000003', 'Glass that stays on the pot',
    'Silica, alumina, flux', 1500, true
),
(
    '1e550000-0000-4000-8000-000000000006', 'a0000000-0000-4000-8000-000000000003', 'Why it crawled',
    'Reading an accident', 1300, false
),
(
    '1e550000-0000-4000-8000-000000000007', 'a0000000-0000-4000-8000-000000000004', 'Wind and neighbours',
    null, null, false
);

insert into public.lesson_contents (lesson_id, body)
values
(
    '1e550000-0000-4000-8000-000000000001',
    E'# Wedging\n\nPush, roll, turn. Sixty times. This is not kneading bread: no air goes in, all of it goes.\n\n'
    || 'Cut the block with a wire. If you see holes, go on.'
),
(
    '1e550000-0000-4000-8000-000000000002',
    E'# Water, speed and your elbows\n\nA sponge, not a bucket. Fast for centring, slow for pulling. Elbows on your '
    || 'thighs, always: the wheel is stronger than your arms, but not than your legs.'
),
(
    '1e550000-0000-4000-8000-000000000003',
    E'# Centring\n\nLeft hand pushes, right hand holds. Cone up, cone down, twice. Eyes closed: when nothing knocks, '
    || 'it is centred.'
),
(
    '1e550000-0000-4000-8000-000000000004',
    E'# Opening and pulling\n\nOpen to a finger''s width from the wheel head, no deeper. Then pull from the bottom, '
    || 'slowly, and never stop halfway: a pull that stops leaves a ring that will crack.'
),
(
    '1e550000-0000-4000-8000-000000000005',
    E'# Glass that stays on the pot\n\nSilica makes the glass, flux melts it, alumina keeps it from running onto the '
    || 'shelf. Every recipe is an argument between the three.'
),
(
    '1e550000-0000-4000-8000-000000000006',
    E'# Why it crawled\n\nDust, oil, or a glaze that shrank more than the pot. Wash your bisque. Then test.'
);

insert into public.quizzes (id, course_id, title, pass_percent)
values (
    '40120000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000001', 'Do your hands know it?', 60
);

insert into public.quiz_questions (id, quiz_id, course_id, kind, prompt, options, points, position)
values
(
    '40e50000-0000-4000-8000-000000000001', '40120000-0000-4000-8000-000000000001',
    'c0000000-0000-4000-8000-000000000001', 'single', 'What is wedging for?',
    '[{"id": "a", "text": "To make the clay warmer"}, {"id": "b", "text": "To get the air out"},
      {"id": "c", "text": "To colour it"}]', 1, 1
),
(
    '40e50000-0000-4000-8000-000000000002', '40120000-0000-4000-8000-000000000001',
    'c0000000-0000-4000-8000-000000000001', 'multiple', 'Which of these help while centring?',
    '[{"id": "a", "text": "Elbows on your thighs"}, {"id": "b", "text": "A fast wheel"},
      {"id": "c", "text": "A bucket of water"}]', 2, 2
),
(
    '40e50000-0000-4000-8000-000000000003', '40120000-0000-4000-8000-000000000001',
    'c0000000-0000-4000-8000-000000000001', 'true_false', 'A pull may stop halfway up.', '[]', 1, 3
);

insert into private.quiz_answer_keys (question_id, answer, explanation)
values
('40e50000-0000-4000-8000-000000000001', '"b"', 'Air in the wall becomes a hole on the wheel.'),
('40e50000-0000-4000-8000-000000000002', '["a", "b"]', 'Water only softens what you want to be firm.'),
('40e50000-0000-4000-8000-000000000003', 'false', 'It leaves a ring that cracks.');

update public.courses as c
set status = 'published', published_at = now()
where c.slug in ('first-pots-on-the-wheel', 'glaze-chemistry-without-tears');

insert into public.enrolments (course_id, student_id, source)
values ('c0000000-0000-4000-8000-000000000001', '5eed0000-0000-4000-8000-000000000001', 'free');

insert into public.lesson_progress (enrolment_id, lesson_id, course_id, student_id, position_seconds, completed_at)
select
    e.id,
    '1e550000-0000-4000-8000-000000000001',
    e.course_id,
    e.student_id,
    420,
    now()
from public.enrolments as e
where e.student_id = '5eed0000-0000-4000-8000-000000000001';
