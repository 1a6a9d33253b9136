"""The official clients, unmodified: supabase_auth (Python) and @supabase/auth-js (node)."""

import json
import shutil
import subprocess
from typing import Any

import httpx
import pytest
from supabase_auth import SyncGoTrueAdminAPI, SyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from stack.paths import ROOT
from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Mailbox,
    bearer,
    code_of,
    new_email,
)

NODE = shutil.which("node")

# Prints a line for each mail and each code of a second factor that it needs; the test writes it to its standard input.
JAVASCRIPT = r"""
import { GoTrueClient, GoTrueAdminApi } from '@supabase/auth-js'
import { createInterface } from 'node:readline'
import assert from 'node:assert/strict'

const [url, email, other, changed, service] = process.argv.slice(1)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const mail = async (address, count = 1) => {
  console.log(JSON.stringify({ address, count }))
  return JSON.parse((await lines.next()).value)
}
const code = async (secret, offset) => {
  console.log(JSON.stringify({ secret, offset }))
  return JSON.parse((await lines.next()).value)
}
const store = new Map()
const storage = {
  getItem: (key) => store.get(key) ?? null,
  setItem: (key, value) => void store.set(key, value),
  removeItem: (key) => void store.delete(key),
}
const open = (options) =>
  new GoTrueClient({ url, storage, autoRefreshToken: false, detectSessionInUrl: false, ...options })
const ok = ({ data, error }) => {
  assert.equal(error, null)
  return data
}
const assertRefused = async (answer, status, code) => {
  const { error } = await answer
  assert.deepEqual([error?.status, error?.code], [status, code])
  return error
}
const auth = open({ storageKey: 'one' })

// Sign up, confirm, sign in.
const signedUp = ok(await auth.signUp({ email, password: 'correct-horse', options: { data: { name: 'Ada' } } }))
assert.equal(signedUp.session, null)
assert.equal(signedUp.user.email, email)
await assertRefused(auth.signInWithPassword({ email, password: 'correct-horse' }), 400, 'email_not_confirmed')
const confirmed = ok(await auth.verifyOtp({ email, token: (await mail(email)).otp, type: 'signup' }))
assert.equal(confirmed.user.id, signedUp.user.id)
await assertRefused(auth.signInWithPassword({ email, password: 'wrong-horse' }), 400, 'invalid_credentials')
const weak = await assertRefused(auth.signUp({ email: other, password: 'x' }), 422, 'weak_password')
assert.deepEqual(weak.reasons, ['length'])
const signedIn = ok(await auth.signInWithPassword({ email, password: 'correct-horse' }))
assert.ok(signedIn.session.expires_at > Date.now() / 1000)

// The client verifies claims with the public keys.
const { claims } = ok(await auth.getClaims())
assert.deepEqual([claims.sub, claims.role, claims.aal], [signedIn.user.id, 'authenticated', 'aal1'])

// Refresh, identities, a changed profile.
const refreshed = ok(await auth.refreshSession())
assert.notEqual(refreshed.session.refresh_token, signedIn.session.refresh_token)
assert.equal(ok(await auth.getUserIdentities()).identities[0].identity_data.email, email)
const renamed = ok(await auth.updateUser({ data: { name: 'Countess' } }))
assert.equal(renamed.user.user_metadata.name, 'Countess')
assert.equal(ok(await auth.getUser()).user.user_metadata.name, 'Countess')

// A change of email address: the first of two codes returns no session, the second does.
assert.equal(ok(await auth.updateUser({ email: changed })).user.new_email, changed)
const half = ok(await auth.verifyOtp({ email: changed, token: (await mail(changed)).otp, type: 'email_change' }))
assert.deepEqual(half, { user: null, session: null })
const whole = ok(await auth.verifyOtp({ email, token: (await mail(email, 2)).otp, type: 'email_change' }))
assert.equal(whole.user.email, changed)

// Password recovery by PKCE: the link returns a code, which only this client can exchange.
const pkce = open({ storageKey: 'two', flowType: 'pkce' })
ok(await pkce.resetPasswordForEmail(changed, { redirectTo: 'http://localhost:3000/reset' }))
const landed = await fetch((await mail(changed, 2)).link, { redirect: 'manual' })
const target = new URL(landed.headers.get('location'))
assert.equal(target.pathname, '/reset')
ok(await pkce.exchangeCodeForSession(target.searchParams.get('code')))
await assertRefused(pkce.updateUser({ password: 'correct-horse' }), 422, 'same_password')
ok(await pkce.updateUser({ password: 'battery-staple' }))
ok(await auth.signInWithPassword({ email: changed, password: 'battery-staple' }))

// Sign out.
ok({ data: null, ...(await auth.signOut({ scope: 'others' })) })
assert.equal((await pkce.getUser()).error.name, 'AuthSessionMissingError')
ok({ data: null, ...(await auth.signOut()) })
assert.equal(ok(await auth.getSession()).session, null)

// Anonymous sign-in, and sign-in with a mailed code.
assert.equal(ok(await auth.signInAnonymously()).user.is_anonymous, true)
ok(await auth.signOut())
ok(await auth.signInWithOtp({ email: changed }))
ok(await auth.verifyOtp({ email: changed, token: (await mail(changed, 3)).otp, type: 'email' }))

// A second factor: enrol, verify, sign in again.
assert.equal(ok(await auth.mfa.getAuthenticatorAssuranceLevel()).nextLevel, 'aal1')
const enrolled = ok(await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
assert.ok(enrolled.totp.qr_code.startsWith('data:image/svg+xml;utf-8,<svg'))
assert.ok(enrolled.totp.uri.includes(enrolled.totp.secret))
const factorId = enrolled.id
const challengeId = ok(await auth.mfa.challenge({ factorId })).id
await assertRefused(auth.mfa.verify({ factorId, challengeId, code: 'wrong' }), 422, 'mfa_verification_failed')
const verified = ok(await auth.mfa.verify({ factorId, challengeId, code: await code(enrolled.totp.secret, -1) }))
assert.equal(verified.user.factors[0].status, 'verified')
const level = ok(await auth.mfa.getAuthenticatorAssuranceLevel())
assert.deepEqual([level.currentLevel, level.nextLevel], ['aal2', 'aal2'])
assert.deepEqual(level.currentAuthenticationMethods.map(({ method }) => method), ['totp', 'otp'])
ok(await auth.signInWithPassword({ email: changed, password: 'battery-staple' }))
const below = ok(await auth.mfa.getAuthenticatorAssuranceLevel())
assert.deepEqual([below.currentLevel, below.nextLevel], ['aal1', 'aal2'])
await assertRefused(auth.updateUser({ password: 'another-staple' }), 401, 'insufficient_aal')
await assertRefused(auth.mfa.unenroll({ factorId }), 422, 'insufficient_aal')
ok(await auth.mfa.challengeAndVerify({ factorId, code: await code(enrolled.totp.secret, 0) }))
assert.equal(ok(await auth.refreshSession()).session.user.factors.length, 1)
assert.equal(ok(await auth.getClaims()).claims.aal, 'aal2')
assert.deepEqual(ok(await auth.mfa.listFactors()).totp.map(({ id }) => id), [factorId])
const owner = ok(await auth.getUser()).user.id

// The admin API.
const admin = new GoTrueAdminApi({ url, headers: { Authorization: `Bearer ${service}` } })
const [listedFactor] = ok(await admin.mfa.listFactors({ userId: owner })).factors
assert.deepEqual([listedFactor.id, listedFactor.friendly_name], [factorId, 'phone'])
assert.equal(ok(await auth.mfa.unenroll({ factorId })).id, factorId)
assert.equal(ok(await auth.mfa.listFactors()).all.length, 0)
const lost = ok(await auth.mfa.enroll({ factorType: 'totp' }))
ok(await admin.mfa.deleteFactor({ userId: owner, id: lost.id }))
assert.equal(ok(await admin.mfa.listFactors({ userId: owner })).factors.length, 0)
const made = ok(await admin.createUser({ email: other, password: 'correct-horse', email_confirm: true })).user
const listed = ok(await admin.listUsers({ page: 1, perPage: 1 }))
assert.deepEqual([listed.users.length, listed.nextPage], [1, 2])
assert.ok(listed.total > 1)
assert.ok(ok(await admin.listUsers({ page: 1, perPage: 1000 })).users.some(({ id }) => id === made.id))
assert.equal(ok(await admin.getUserById(made.id)).user.email, other)
assert.equal(ok(await admin.updateUserById(made.id, { app_metadata: { a: 1 } })).user.app_metadata.a, 1)
const link = ok(await admin.generateLink({ type: 'magiclink', email: other }))
ok(await auth.verifyOtp({ token_hash: link.properties.hashed_token, type: 'magiclink' }))
ok(await admin.deleteUser(made.id))
await assertRefused(admin.getUserById(made.id), 404, 'user_not_found')
await assertRefused(new GoTrueAdminApi({ url, headers: {} }).listUsers(), 401, 'no_authorization')
console.log(JSON.stringify({ done: true }))
process.exit(0)
"""


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_auth_js_works(auth: AuthServer, mailbox: Mailbox) -> None:
    emails = [new_email() for _ in range(3)]
    command = [str(NODE), "--input-type=module", "-e", JAVASCRIPT, "--", auth.url, *emails, auth.keys.service_role]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        assert node.stderr is not None
        message: dict[str, Any] = {}
        for line in node.stdout:
            message = json.loads(line)
            if "secret" in message:
                wanted: Any = code_of(message["secret"], message["offset"])
            elif "address" in message:
                mail = mailbox.to(message["address"], count=message["count"])
                wanted = {"otp": mail.otp, "link": mail.link}
            else:
                break
            node.stdin.write(json.dumps(wanted) + "\n")
            node.stdin.flush()
        errors = node.stderr.read()
    assert message == {"done": True}, errors


def test_supabase_auth_works(auth: AuthServer, mailbox: Mailbox) -> None:
    with SyncGoTrueClient(url=auth.url, auto_refresh_token=False) as client:
        use_account(client, mailbox)


def use_account(client: SyncGoTrueClient, mailbox: Mailbox) -> None:
    """Call everything that a user can do with an account."""
    email, other = new_email(), new_email()
    signed_up = client.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"name": "Ada"}}})
    assert signed_up.session is None
    assert signed_up.user is not None
    confirmed = client.verify_otp({"email": email, "token": mailbox.to(email).otp, "type": "signup"})
    assert confirmed.user is not None
    assert confirmed.user.id == signed_up.user.id
    with pytest.raises(AuthApiError) as wrong:
        client.sign_in_with_password({"email": email, "password": "wrong-horse"})
    assert (wrong.value.status, wrong.value.code) == (400, "invalid_credentials")
    with pytest.raises(AuthWeakPasswordError) as weak:
        client.sign_up({"email": other, "password": "x"})
    assert weak.value.reasons == ["length"]

    signed_in = client.sign_in_with_password({"email": email, "password": PASSWORD})
    assert signed_in.session is not None
    claims = client.get_claims()
    assert claims is not None
    assert claims["claims"]["sub"] == signed_up.user.id
    refreshed = client.refresh_session()
    assert refreshed.session is not None
    assert refreshed.session.refresh_token != signed_in.session.refresh_token
    assert client.update_user({"data": {"name": "Countess"}}).user.user_metadata["name"] == "Countess"
    assert client.get_user_identities().identities[0].provider == "email"

    client.reset_password_for_email(email)
    client.verify_otp({"email": email, "token": mailbox.to(email, count=2).otp, "type": "recovery"})
    client.update_user({"password": "battery-staple"})
    client.sign_in_with_password({"email": email, "password": "battery-staple"})
    use_second_factor(client)
    client.sign_out()
    assert client.get_session() is None
    guest = client.sign_in_anonymously()
    assert guest.user is not None
    assert guest.user.is_anonymous


def use_second_factor(client: SyncGoTrueClient) -> None:
    """Enrol, use and remove a second factor."""
    enrolled = client.mfa.enroll({"factor_type": "totp", "friendly_name": "phone"})
    assert enrolled.totp is not None
    challenge = client.mfa.challenge({"factor_id": enrolled.id})
    with pytest.raises(AuthApiError) as wrong:
        client.mfa.verify({"factor_id": enrolled.id, "challenge_id": challenge.id, "code": "wrong"})
    assert (wrong.value.status, wrong.value.code) == (422, "mfa_verification_failed")
    code = code_of(enrolled.totp.secret, -1)
    client.mfa.verify({"factor_id": enrolled.id, "challenge_id": challenge.id, "code": code})
    client.mfa.challenge_and_verify({"factor_id": enrolled.id, "code": code_of(enrolled.totp.secret)})
    level = client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal2", "aal2")
    assert [factor.id for factor in client.mfa.list_factors().totp] == [enrolled.id]
    client.mfa.unenroll({"factor_id": enrolled.id})
    assert client.mfa.list_factors().all == []


def test_supabase_auth_works_with_pkce(auth: AuthServer, mailbox: Mailbox) -> None:
    user = auth.create_user()
    with SyncGoTrueClient(url=auth.url, auto_refresh_token=False, flow_type="pkce") as client:
        client.sign_in_with_otp({"email": user["email"]})
        location = httpx.get(mailbox.to(user["email"]).link).headers["location"]
        code = httpx.URL(location).params["code"]
        exchanged = client.exchange_code_for_session({"auth_code": code, "code_verifier": "", "redirect_to": ""})
    assert exchanged.user is not None
    assert exchanged.user.id == user["id"]


def test_the_admin_api_of_supabase_auth_works(auth: AuthServer, mailbox: Mailbox) -> None:
    with SyncGoTrueAdminAPI(url=auth.url, headers=auth.admin) as admin:
        use_admin_api(admin, mailbox)
        token = auth.sign_in_new_user()["access_token"]
        admin.sign_out(token)
    assert auth.http.get("/user", headers=bearer(token)).status_code == 403


def use_admin_api(admin: SyncGoTrueAdminAPI, mailbox: Mailbox) -> None:
    """Call everything that an admin can do with accounts."""
    email, invited = new_email(), new_email()
    made = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user
    assert made.id in {user.id for user in admin.list_users(page=1, per_page=2)}
    assert admin.get_user_by_id(made.id).user.email == email
    changed = admin.update_user_by_id(made.id, {"ban_duration": "1h", "user_metadata": {"a": 1}}).user
    assert changed.banned_until
    assert changed.user_metadata["a"] == 1
    admin.delete_user(made.id)
    with pytest.raises(AuthApiError) as gone:
        admin.get_user_by_id(made.id)
    assert (gone.value.status, gone.value.code) == (404, "user_not_found")
    assert admin.invite_user_by_email(invited).user.invited_at
    assert mailbox.to(invited).otp
    link = admin.generate_link({"type": "invite", "email": invited})
    assert link.properties.verification_type == "invite"
