"""Guildhall as the project that the stack runs."""

from stack.doubles import DOUBLES
from stack.paths import ROOT
from stack.project import ExtraPart, Project
from stack.tools import policies

EDGE = ExtraPart(
    name="edge",
    module="edge",
    title="edge",
    port_offset=5,
    is_listed=True,
    database_role="edge",
    environment={
        "EDGE_PORT": "{port}",
        "EDGE_DB_URL": "{database_url}",
        "EDGE_API_URL": "{api_url}",
        "EDGE_REST_URL": "{rest_url}",
        "EDGE_JWKS_URL": "{jwks_url}",
        "EDGE_JWT_ISSUER": "{auth_url}",
        "EDGE_PUBLISHABLE_KEY": "{publishable_key}",
        "EDGE_CORS_ORIGINS": "{site_origins}",
        "EDGE_PUBLIC_URL": "{site_url}",
        "EDGE_DRAIN_SECONDS": "0",
        "EDGE_GRACE_SECONDS": "5",  # less than the supervisor's 8 seconds
    },
)
WORKER = ExtraPart(
    name="worker",
    module="edge.worker",
    title="worker, health",
    port_offset=2,
    database_role="worker",
    token_role="file_remover",  # noqa: S106 - the name of a role
    environment={
        "WORKER_PORT": "{port}",
        "WORKER_DB_URL": "{database_url}",
        "WORKER_AUTH_URL": "{auth_url}",
        "WORKER_PUBLISHABLE_KEY": "{publishable_key}",
        "WORKER_STORAGE_URL": "{storage_url}",
        "WORKER_STORAGE_TOKEN": "{token}",
        "WORKER_PUBLIC_URL": "{site_url}",
        "WORKER_MAIL_FROM": "{mail_from}",
        "WORKER_SMTP_HOST": "{smtp_host}",
        "WORKER_SMTP_PORT": "{smtp_port}",
        "WORKER_SMTP_SECURITY": "none",
    },
)
USER_QUERY = """
select
    case
        when a.user_id is null then 'without an account'
        when a.status = 'suspended' and a.suspended_until <= now() then 'active'
        when a.suspended_until is not null then format('suspended until %%s', a.suspended_until)
        else a.status::text
    end as status,
    array(select r.role::text from public.user_roles as r where r.user_id = u.id order by r.role) as roles
from (select %(user_id)s::uuid) as u (id)
left join public.accounts as a on a.user_id = u.id
"""

GUILDHALL = Project(
    folder=ROOT,
    parts=(EDGE, WORKER),
    doubles=DOUBLES,
    accounts={
        "student@example.com": "takes a course",
        "teacher@example.com": "wrote the course",
        "moderator@example.com": "moderates",
        "admin@example.com": "administers the guild",
    },
    accounts_password="guildhall-demo",  # noqa: S106 - the seed's, for loopback only, and documented
    user_query=USER_QUERY,
    findings=policies.findings,
)
