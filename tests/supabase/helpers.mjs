// The stack under test comes from the environment, as `devenv status -o env` prints it. Every test makes its own users and rows, so that all may run again and again on one stack.
import { randomBytes } from 'node:crypto';
import { createClient } from '@supabase/supabase-js';
import ws from 'ws';

const { env } = process;
export const API_URL = env.API_URL ?? 'http://127.0.0.1:54321';
export const PUBLISHABLE_KEY = env.PUBLISHABLE_KEY ?? 'sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH';
export const SECRET_KEY = env.SECRET_KEY ?? 'sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz';
export const ANON_KEY = env.ANON_KEY;
export const SERVICE_ROLE_KEY = env.SERVICE_ROLE_KEY;
export const MAILPIT_URL = env.MAILPIT_URL ?? 'http://127.0.0.1:54324';
export const STUDIO_URL = env.STUDIO_URL ?? 'http://127.0.0.1:54323';
export const DB_URL = env.DB_URL ?? 'postgresql://postgres:postgres@127.0.0.1:54322/postgres';

export const PASSWORD = 'correct horse battery';
export const unique = (prefix = 't') => `${prefix}-${randomBytes(6).toString('hex')}`;
export const email = (prefix) => `${unique(prefix)}@example.com`;

/** Node has a WebSocket of its own since version 22. */
export const client = (key = PUBLISHABLE_KEY, options = {}) =>
  createClient(API_URL, key, { ...options, auth: { persistSession: false, autoRefreshToken: false, ...options.auth }, realtime: { transport: ws, ...options.realtime } });

export const admin = () => client(SECRET_KEY);

/** The data of an answer; its error becomes the test's. */
export async function ok(answer) {
  const { data, error } = await answer;
  if (error) throw new Error(`${error.code ?? error.status ?? ''} ${error.message}`, { cause: error });
  return data;
}

/** A client of a new user who is signed in, and the user. */
export async function newUser(metadata = {}) {
  const address = email('user');
  const created = await ok(admin().auth.admin.createUser({ email: address, password: PASSWORD, email_confirm: true, user_metadata: { username: unique('name'), ...metadata } }));
  const supabase = client();
  await ok(supabase.auth.signInWithPassword({ email: address, password: PASSWORD }));
  return { supabase, user: created.user, email: address };
}

/** The newest mail to an address: { subject, text, html, link, code } */
export async function mailTo(address, { after = 0 } = {}) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const mails = await (await fetch(`${MAILPIT_URL}/email`)).json();
    const found = mails.filter((mail) => mail.to.some((to) => to.address === address)).slice(after).at(-1);
    if (found) {
      return { subject: found.subject, text: found.text, html: found.html, link: found.text.match(/https?:\/\/\S+/)?.[0], code: found.text.match(/\b\d{6}\b/)?.[0] };
    }
    await pause(50);
  }
  throw new Error(`no mail to ${address}`);
}

export const mailCount = async (address) => (await (await fetch(`${MAILPIT_URL}/email`)).json()).filter((mail) => mail.to.some((to) => to.address === address)).length;

/** Follow a mail's link as a browser does: where it leads to, and the parameters it carries there. */
export async function click(link) {
  const response = await fetch(link, { redirect: 'manual' });
  const location = new URL(response.headers.get('location'));
  return { status: response.status, location, fragment: new URLSearchParams(location.hash.slice(1)) };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until `check` gives something truthy. */
export async function until(check, what, timeout = 10_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${timeout} ms: ${what}`);
    await pause(25);
  }
}

export const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
