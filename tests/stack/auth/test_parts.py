"""Modules of the auth server, without a server."""

import asyncio
from pathlib import Path

import bcrypt
import psycopg
import pytest
from psycopg import errors as pg

from common.settings import SettingsError
from stack.auth.background import MAX_TASKS, Background
from stack.auth.errors import AuthError, from_database
from stack.auth.limits import MailLimit
from stack.auth.mail import confirmation
from stack.auth.passwords import Hasher, check_strength, cost_of
from stack.auth.redirects import Redirects, with_query
from stack.auth.settings import Settings

REQUIRED = {
    "AUTH_PORT": "54327",
    "AUTH_DB_URL": "postgresql://x",
    "AUTH_KEYS_FILE": "/keys.json",
    "AUTH_EXTERNAL_URL": "http://127.0.0.1:54321/auth/v1/",
    "AUTH_SITE_URL": "http://127.0.0.1:3000",
    "AUTH_SMTP_PORT": "54325",
    "AUTH_MAIL_FROM": "auth@example.com",
}


def test_settings_are_read() -> None:
    more = {
        "AUTH_REDIRECT_URLS": "http://a/**, b://c ,",
        "AUTH_AUTOCONFIRM": "true",
        "AUTH_HOOK_ACCESS_TOKEN": "private.custom_access_token",
        "AUTH_MAX_FREQUENCY": "0.5",
    }
    settings = Settings.from_mapping({**REQUIRED, **more})
    assert settings.port == 54327
    assert settings.keys_file == Path("/keys.json")
    assert settings.external_url == "http://127.0.0.1:54321/auth/v1"
    assert settings.redirect_urls == ("http://a/**", "b://c")
    assert settings.autoconfirm is True
    assert settings.hook_access_token == ("private", "custom_access_token")
    assert settings.max_frequency == 0.5
    assert (settings.bcrypt_cost, settings.refresh_reuse_interval, settings.jwt_expiry) == (10, 10, 3600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in REQUIRED),
        ("AUTH_PORT", "http"),
        ("AUTH_PORT", "0"),
        ("AUTH_AUTOCONFIRM", "yes"),
        ("AUTH_HOOK_ACCESS_TOKEN", "drop table x"),
        ("AUTH_MAX_FREQUENCY", "1s"),
        ("AUTH_BCRYPT_COST", "31"),
        ("AUTH_MIN_PASSWORD_LENGTH", "1"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str | None) -> None:
    environment = {key: text for key, text in {**REQUIRED, name: value}.items() if text is not None}
    with pytest.raises(SettingsError, match=name):
        Settings.from_mapping(environment)


@pytest.mark.parametrize(
    ("glob", "target", "is_allowed"),
    [
        ("https://*.example.com/**", "https://a.example.com/b/c?d", True),
        ("https://*.example.com/**", "https://a.b.example.com/", False),
        ("https://*.example.com/**", "https://evil.com/x.example.com/", False),
        ("https://example.com/*", "https://example.com/a", True),
        ("https://example.com/*", "https://example.com/a/b", False),
        ("https://example.com/a?c", "https://example.com/abc", True),
        ("https://example.com/a?c", "https://example.com/a/c", False),
        ("https://example.com/[a-c]", "https://example.com/b", True),
        ("https://example.com/[!a-c]", "https://example.com/b", False),
        ("https://example.com/[!a-c]", "https://example.com/d", True),
        ("https://example.com/\\*", "https://example.com/*", True),
        ("https://example.com/\\*", "https://example.com/a", False),
        ("https://example.com", "https://examplexcom", False),
        ("https://*.example.com/**", "https://evil\\.example.com/", False),
        ("**", "javascript:alert(1)", False),
    ],
)
def test_redirect_globs(glob: str, target: str, is_allowed: bool) -> None:
    chosen = Redirects(site_url="http://site.example", globs=(glob,)).choose(target)
    assert chosen == (target if is_allowed else "http://site.example")


def test_parameters_are_added_to_a_query() -> None:
    assert with_query("http://a/b?c=1&code=old#d", {"code": "x y"}) == "http://a/b?c=1&code=x+y#d"


def test_mails_are_limited_by_kind_and_address() -> None:
    mails = MailLimit(interval=30, hourly=10)
    with mails.slot("recovery", "a"), mails.slot("recovery", "b"), mails.slot("confirmation", "a"):
        pass
    with pytest.raises(AuthError) as refused, mails.slot("recovery", "a"):
        pass
    assert (refused.value.status, refused.value.code) == (429, "over_email_send_rate_limit")
    with pytest.raises(OSError, match="mail"), mails.slot("recovery", "c"):
        raise OSError("no mail was sent")
    with mails.slot("recovery", "c"):
        pass


def test_mails_to_one_address_are_limited_by_the_hour() -> None:
    mails = MailLimit(interval=0, hourly=10)
    for _ in range(10):
        with mails.slot("recovery", "a"):
            pass
    with pytest.raises(AuthError) as refused, mails.slot("recovery", "a"):
        pass
    assert refused.value.retry_after == 360


def test_passwords_are_hashed_and_checked() -> None:
    async def run() -> None:
        hasher = Hasher(5)
        hashed = await hasher.hash("correct-horse")
        assert cost_of(hashed) == 5
        assert await hasher.matches("correct-horse", hashed)
        assert not await hasher.matches("wrong-horse", hashed)
        assert not await hasher.matches("correct-horse", None)
        assert not await hasher.matches("correct-horse", "md5")
        full = await hasher.hash("x" * 72)
        assert await hasher.matches("x" * 72, full)
        assert not await hasher.matches("x" * 73, full)
        foreign = bcrypt.hashpw(b"correct-horse", bcrypt.gensalt(4, prefix=b"2a")).decode()
        assert await hasher.matches("correct-horse", foreign)
        hasher.close()

    asyncio.run(run())
    assert cost_of("$2b$31$" + "x" * 53) is None
    with pytest.raises(AuthError) as short:
        check_strength("äöüäöü", min_length=8)
    assert short.value.code == "weak_password"
    check_strength("äöüäöüßx", min_length=8)
    with pytest.raises(AuthError) as long:
        check_strength("ä" * 37, min_length=8)
    assert long.value.code == "validation_failed"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (pg.LockNotAvailable(), 504, "request_timeout"),
        (pg.QueryCanceled(), 504, "request_timeout"),
        (psycopg.OperationalError(), 503, "database_unavailable"),
        (pg.AdminShutdown(), 503, "database_unavailable"),
        (pg.UntranslatableCharacter(), 400, "validation_failed"),
        (pg.ForeignKeyViolation(), 409, "conflict"),
        (pg.UndefinedTable(), 500, "unexpected_failure"),
    ],
)
def test_database_errors_have_a_status_and_a_code(error: psycopg.Error, status: int, code: str) -> None:
    refusal = from_database(error)
    assert (refusal.status, refusal.code) == (status, code)


def test_background_work_is_bounded_and_waited_for() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async def run() -> None:
        background = Background()
        for number in range(MAX_TASKS):
            background.start("work", work(number))
        with pytest.raises(AuthError) as refused:
            background.start("work", work(-1))
        assert refused.value.code == "over_request_rate_limit"
        await background.close()

    asyncio.run(run())
    assert done == list(range(MAX_TASKS))


def test_a_mail_escapes_its_values() -> None:
    page = confirmation(link='http://a/?b="c"&d', otp="123456").page()
    assert 'href="http://a/?b=&quot;c&quot;&amp;d"' in page
    assert "123456" in page
