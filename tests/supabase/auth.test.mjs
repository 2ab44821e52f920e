import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANON_KEY, API_URL, PASSWORD, PUBLISHABLE_KEY, SERVICE_ROLE_KEY, admin, claims, click, client, email, mailCount, mailTo, newUser, ok, unique } from './helpers.mjs';

test('sign-up sends a mail; its link leads to the API, confirms the address and returns to the app with a session', async () => {
  const [supabase, address, username] = [client(), email('signup'), unique('name')];
  const { user, session } = await ok(supabase.auth.signUp({ email: address, password: PASSWORD, options: { data: { username } } }));
  assert.equal(session, null);
  assert.equal(user.email, address);
  const { error } = await supabase.auth.signInWithPassword({ email: address, password: PASSWORD });
  assert.equal(error.code, 'email_not_confirmed');

  const mail = await mailTo(address);
  assert.ok(mail.link.startsWith(`${API_URL}/auth/v1/verify?`), mail.link);
  assert.ok(mail.html.includes(`${API_URL}/auth/v1/verify?`));
  const { status, location, fragment } = await click(mail.link);
  assert.equal(status, 303);
  assert.equal(location.origin, 'http://127.0.0.1:3000');
  assert.equal(claims(fragment.get('access_token')).email, address);
  await ok(supabase.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }));
  assert.equal((await ok(supabase.auth.getUser())).user.id, user.id);
  assert.deepEqual(await ok(supabase.from('profiles').select('username').eq('id', user.id).single()), { username });
});

test('sign-up with the code of the mail', async () => {
  const [supabase, address] = [client(), email('code')];
  await ok(supabase.auth.signUp({ email: address, password: PASSWORD }));
  const { code } = await mailTo(address);
  const { session } = await ok(supabase.auth.verifyOtp({ email: address, token: code, type: 'signup' }));
  assert.equal(session.user.email, address);
});

test('the link of a mail returns to emailRedirectTo', async () => {
  const [supabase, address] = [client(), email('redirect')];
  await ok(supabase.auth.signUp({ email: address, password: PASSWORD, options: { emailRedirectTo: 'http://127.0.0.1:3000/welcome' } }));
  const { location } = await click((await mailTo(address)).link);
  assert.equal(`${location.origin}${location.pathname}`, 'http://127.0.0.1:3000/welcome');
});

test('a link does not return to an address that config.toml does not list', async () => {
  const [supabase, address] = [client(), email('redirect')];
  await ok(supabase.auth.signUp({ email: address, password: PASSWORD, options: { emailRedirectTo: 'http://evil.example/' } }));
  assert.equal((await click((await mailTo(address)).link)).location.host, '127.0.0.1:3000');
});

test('a used or invented link ends with an error in the address, not with a session', async () => {
  const { location, fragment } = await click(`${API_URL}/auth/v1/verify?token=${'0'.repeat(64)}&type=signup`);
  assert.equal(location.host, '127.0.0.1:3000');
  assert.equal(fragment.get('error'), 'access_denied');
  assert.equal(fragment.get('access_token'), null);
});

test('sign-in with a password; the token carries what policies read', async () => {
  const { supabase, user } = await newUser({ colour: 'green' });
  const { session } = await ok(supabase.auth.getSession());
  const token = claims(session.access_token);
  assert.equal(token.sub, user.id);
  assert.equal(token.role, 'authenticated');
  assert.equal(token.aud, 'authenticated');
  assert.equal(token.iss, `${API_URL}/auth/v1`);
  assert.equal(token.is_anonymous, false);
  assert.equal(token.user_metadata.colour, 'green');
  assert.equal(token.app_metadata.provider, 'email');
  assert.equal(token.amr[0].method, 'password');
});

test('a wrong password is refused', async () => {
  const { email: address } = await newUser();
  const { error } = await client().auth.signInWithPassword({ email: address, password: 'wrong' });
  assert.equal(error.code, 'invalid_credentials');
});

test('a weak password is refused', async () => {
  const { error } = await client().auth.signUp({ email: email('weak'), password: '123' });
  assert.equal(error.code, 'weak_password');
});

test('getUser', async () => {
  const { supabase, user } = await newUser();
  const { user: same } = await ok(supabase.auth.getUser());
  assert.equal(same.id, user.id);
  assert.equal(same.identities.length, 1);
});

test('getUser refuses an invented token', async () => {
  const { error } = await client().auth.getUser('eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA');
  assert.ok([401, 403].includes(error.status));
});

test('getClaims', async () => {
  const { supabase, user } = await newUser();
  assert.equal((await ok(supabase.auth.getClaims())).claims.sub, user.id);
});

test('refresh gives a new session that works', async () => {
  const { supabase, user } = await newUser();
  const before = (await ok(supabase.auth.getSession())).session;
  const { session } = await ok(supabase.auth.refreshSession());
  assert.notEqual(session.refresh_token, before.refresh_token);
  assert.equal(claims(session.access_token).session_id, claims(before.access_token).session_id);
  assert.equal(claims(session.access_token).amr[0].method, 'password');
  assert.equal((await ok(supabase.auth.getUser())).user.id, user.id);
});

test('updateUser changes metadata and password', async () => {
  const { supabase, email: address } = await newUser();
  const { user } = await ok(supabase.auth.updateUser({ data: { nickname: 'Nick' }, password: 'another good one' }));
  assert.equal(user.user_metadata.nickname, 'Nick');
  await ok(client().auth.signInWithPassword({ email: address, password: 'another good one' }));
});

test('one-time password by mail', async () => {
  const { email: address, user } = await newUser();
  const supabase = client();
  await ok(supabase.auth.signInWithOtp({ email: address }));
  const { session } = await ok(supabase.auth.verifyOtp({ email: address, token: (await mailTo(address)).code, type: 'email' }));
  assert.equal(session.user.id, user.id);
  assert.equal(claims(session.access_token).amr[0].method, 'otp');
});

test('magic link', async () => {
  const { email: address } = await newUser();
  await ok(client().auth.signInWithOtp({ email: address }));
  const { fragment } = await click((await mailTo(address)).link);
  assert.equal(claims(fragment.get('access_token')).email, address);
});

test('magic link for somebody new creates the user', async () => {
  const address = email('new');
  await ok(client().auth.signInWithOtp({ email: address }));
  const { fragment } = await click((await mailTo(address)).link);
  assert.equal(claims(fragment.get('access_token')).email, address);
});

test('recovery of a password', async () => {
  const { email: address } = await newUser();
  const supabase = client();
  await ok(supabase.auth.resetPasswordForEmail(address, { redirectTo: 'http://127.0.0.1:3000/reset' }));
  const { location, fragment } = await click((await mailTo(address)).link);
  assert.equal(location.pathname, '/reset');
  assert.equal(fragment.get('type'), 'recovery');
  await ok(supabase.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }));
  await ok(supabase.auth.updateUser({ password: 'recovered password' }));
  await ok(client().auth.signInWithPassword({ email: address, password: 'recovered password' }));
});

test('a mail link opened by an app that uses PKCE brings a code, which only that app can exchange', async () => {
  const storage = new Map();
  const supabase = client(undefined, {
    auth: { flowType: 'pkce', storage: { getItem: (key) => storage.get(key) ?? null, setItem: (key, value) => storage.set(key, value), removeItem: (key) => storage.delete(key) }, persistSession: true },
  });
  const address = email('pkce');
  await ok(supabase.auth.signUp({ email: address, password: PASSWORD }));
  const { location } = await click((await mailTo(address)).link);
  const code = location.searchParams.get('code');
  assert.ok(code, location.href);
  assert.equal(location.hash, '');
  const stranger = await fetch(`${API_URL}/auth/v1/token?grant_type=pkce`, {
    method: 'POST', headers: { apikey: PUBLISHABLE_KEY, 'content-type': 'application/json' }, body: JSON.stringify({ auth_code: code, code_verifier: 'x'.repeat(43) }),
  });
  assert.equal(stranger.ok, false);
  const { session } = await ok(supabase.auth.exchangeCodeForSession(code));
  assert.equal(session.user.email, address);
});

test('signOut ends the session', async () => {
  const { supabase } = await newUser();
  const { session } = await ok(supabase.auth.getSession());
  assert.equal((await supabase.auth.signOut()).error, null);
  assert.notEqual((await client().auth.getUser(session.access_token)).error, null);
  assert.notEqual((await client().auth.refreshSession({ refresh_token: session.refresh_token })).error, null);
});

test('anonymous sign-in: getUser, refresh, rows of its own, signOut', async () => {
  const supabase = client();
  const { user, session } = await ok(supabase.auth.signInAnonymously({ options: { data: { username: unique('guest') } } }));
  assert.equal(user.is_anonymous, true);
  assert.equal(claims(session.access_token).is_anonymous, true);
  assert.equal((await ok(supabase.auth.getUser())).user.is_anonymous, true);
  assert.deepEqual(await ok(supabase.from('todos').insert({ title: 'of a guest' }).select('user_id').single()), { user_id: user.id });
  const refreshed = await ok(supabase.auth.refreshSession());
  assert.equal(claims(refreshed.session.access_token).is_anonymous, true);
  assert.equal(claims(refreshed.session.access_token).amr[0].method, 'anonymous');
  assert.equal((await supabase.auth.signOut()).error, null);
  assert.notEqual((await client().auth.getUser(refreshed.session.access_token)).error, null);
});

test('a guest who confirms an address becomes a user, rows and all', async () => {
  const [supabase, address] = [client(), email('guest')];
  const { user } = await ok(supabase.auth.signInAnonymously());
  await ok(supabase.auth.updateUser({ email: address }));
  const { fragment } = await click((await mailTo(address)).link);
  assert.equal(claims(fragment.get('access_token')).sub, user.id);
  const { user: now } = await ok(client().auth.getUser(fragment.get('access_token')));
  assert.equal(now.email, address);
  assert.equal(now.is_anonymous, false);
});

test('change of the address', async () => {
  const { supabase, email: address } = await newUser();
  await ok(supabase.auth.updateUser({ email: email('changed') }));
  // Both addresses are asked (double_confirm_changes); the old one's answer is what counts here.
  assert.ok((await mailTo(address)).link.includes('type=email_change'));
});

test('resend sends a second mail', async () => {
  const [supabase, address] = [client(), email('resend')];
  await ok(supabase.auth.signUp({ email: address, password: PASSWORD }));
  await mailTo(address);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // max_frequency
  await ok(supabase.auth.resend({ type: 'signup', email: address }));
  await mailTo(address, { after: 1 });
  assert.equal(await mailCount(address), 2);
});

test('settings say what is offered', async () => {
  const settings = await (await fetch(`${API_URL}/auth/v1/settings`, { headers: { apikey: PUBLISHABLE_KEY } })).json();
  assert.equal(settings.external.anonymous_users, true);
  assert.equal(settings.mailer_autoconfirm, false);
});

test('admin: create, get, list, update, delete', async () => {
  const { auth } = admin();
  const address = email('admin');
  const { user } = await ok(auth.admin.createUser({ email: address, password: PASSWORD, email_confirm: true, app_metadata: { plan: 'pro' } }));
  assert.equal(user.app_metadata.plan, 'pro');
  assert.equal((await ok(auth.admin.getUserById(user.id))).user.email, address);
  const { users, total } = await ok(auth.admin.listUsers({ page: 1, perPage: 1000 }));
  assert.ok(users.some(({ id }) => id === user.id));
  assert.ok(total >= users.length);
  const updated = await ok(auth.admin.updateUserById(user.id, { user_metadata: { a: 1 }, app_metadata: { plan: 'free' } }));
  assert.deepEqual([updated.user.user_metadata, updated.user.app_metadata.plan], [{ a: 1 }, 'free']);
  const { error: twice } = await auth.admin.createUser({ email: address, password: PASSWORD });
  assert.equal(twice.code, 'email_exists');
  await ok(auth.admin.deleteUser(user.id));
  assert.equal((await auth.admin.getUserById(user.id)).error.code, 'user_not_found');
});

test('admin: generateLink and its token hash', async () => {
  const { auth } = admin();
  const { email: address } = await newUser();
  const { properties } = await ok(auth.admin.generateLink({ type: 'magiclink', email: address }));
  assert.ok(properties.action_link.startsWith(`${API_URL}/auth/v1/verify?`));
  const { session } = await ok(client().auth.verifyOtp({ token_hash: properties.hashed_token, type: 'magiclink' }));
  assert.equal(session.user.email, address);
});

test('admin: invite', async () => {
  const address = email('invited');
  await ok(admin().auth.admin.inviteUserByEmail(address));
  const { fragment } = await click((await mailTo(address)).link);
  assert.equal(claims(fragment.get('access_token')).email, address);
});

test('admin: nobody else may', async () => {
  assert.equal((await client().auth.admin.listUsers()).error.status, 403);
  const { supabase } = await newUser();
  assert.equal((await supabase.auth.admin.listUsers()).error.status, 403);
});

test('a banned user cannot sign in', async () => {
  const { user, email: address } = await newUser();
  await ok(admin().auth.admin.updateUserById(user.id, { ban_duration: '24h' }));
  assert.notEqual((await client().auth.signInWithPassword({ email: address, password: PASSWORD })).error, null);
});

test('the older keys work too', { skip: !ANON_KEY || !SERVICE_ROLE_KEY }, async () => {
  await ok(client(ANON_KEY).from('lists').select());
  assert.ok((await ok(client(SERVICE_ROLE_KEY).auth.admin.listUsers({ perPage: 1 }))).users.length);
});
