// The mails of Auth. @supabase/lite would let their links lead to the app (site_url) and forget where the app wanted to be called back, so it gets this mailer instead of its own.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import nodemailer from 'nodemailer';

/** What the request that causes a mail says: { redirectTo, codeChallenge, codeChallengeMethod } */
export const mailContext = new AsyncLocalStorage();

const link = (heading, sentence, label) => `<h2>${heading}</h2>\n\n<p>${sentence}</p>\n<p><a href="{{ .ConfirmationURL }}">${label}</a></p>\n<p>Alternatively, enter the code: {{ .Token }}</p>\n`;
const DEFAULTS = {
  confirmation: { subject: 'Confirm Your Signup', html: link('Confirm your signup', 'Follow this link to confirm your user:', 'Confirm your mail') },
  recovery: { subject: 'Reset Your Password', html: link('Reset Password', 'Follow this link to reset the password for your user:', 'Reset Password') },
  magic_link: { subject: 'Your Magic Link', html: link('Magic Link', 'Follow this link to login:', 'Log In') },
  email_change: { subject: 'Confirm Email Change', html: link('Confirm Change of Email', 'Follow this link to confirm the update of your email from {{ .Email }} to {{ .NewEmail }}:', 'Change Email') },
  invite: { subject: 'You have been invited', html: link('You have been invited', 'You have been invited to create a user on {{ .SiteURL }}. Follow this link to accept the invite:', 'Accept the invite') },
  reauthentication: { subject: 'Confirm Reauthentication', html: '<h2>Confirm reauthentication</h2>\n\n<p>Enter the code: {{ .Token }}</p>\n' },
};

/** {{ .Name }} and {{ .Data.name }} of Go's templates; no more of them is used in mails. */
export function render(template, values) {
  return template.replace(/\{\{-?\s*\.(\w+(?:\.\w+)*)\s*-?\}\}/g, (_, path) => path.split('.').reduce((value, key) => value?.[key], values) ?? '');
}

export function verifyLink(externalUrl, { token, type, redirectTo }) {
  const url = new URL(`${externalUrl}/auth/v1/verify`);
  url.search = new URLSearchParams({ token, type, redirect_to: redirectTo });
  return url.href;
}

export class Mailer {
  constructor({ settings, config, sql, templates = {} }) {
    Object.assign(this, { sql, templates });
    this.externalUrl = settings.externalUrl;
    this.siteUrl = config.auth?.site_url || 'http://127.0.0.1:3000';
    this.from = { address: settings.smtp.from, name: config.local_smtp?.sender_name ?? 'Admin' };
    this.transport = nodemailer.createTransport({ host: settings.smtp.host, port: settings.smtp.port, secure: false, ignoreTLS: true });
  }

  sendConfirmation = (to, tokenHash, code, about) => this.send('confirmation', 'signup', to, tokenHash, code, about);
  sendRecovery = (to, tokenHash, code, about) => this.send('recovery', 'recovery', to, tokenHash, code, about);
  sendMagicLink = (to, tokenHash, code, about) => this.send('magic_link', 'magiclink', to, tokenHash, code, about);
  sendEmailChange = (to, tokenHash, code, about) => this.send('email_change', 'email_change', to, tokenHash, code, about);
  sendInvite = (to, tokenHash, code, about) => this.send('invite', 'invite', to, tokenHash, code, about);
  sendReauthentication = (to, code, about) => this.send('reauthentication', 'reauthentication', to, about?.tokenHash ?? '', code, about);

  async send(kind, type, to, tokenHash, code, about = {}) {
    const { redirectTo = this.siteUrl, codeChallenge, codeChallengeMethod } = mailContext.getStore() ?? {};
    let token = tokenHash;
    if (codeChallenge && tokenHash) {
      // A browser that uses PKCE (@supabase/ssr does) wants a code instead of tokens when it comes back: its links carry a marked token, as those of the Auth server do.
      token = `pkce_${tokenHash}`;
      await this.sql`
        insert into auth.flow_state (id, authentication_method, provider_type, code_challenge, code_challenge_method, invite_token)
        values (${randomUUID()}, ${type}, 'email', ${codeChallenge}, ${(codeChallengeMethod ?? 's256').toLowerCase()}, ${tokenHash})`;
    }
    const values = {
      ConfirmationURL: verifyLink(this.externalUrl, { token, type, redirectTo }),
      Token: code,
      TokenHash: token,
      SiteURL: this.siteUrl,
      RedirectTo: redirectTo,
      Email: about.currentEmail ?? to,
      NewEmail: about.newEmail ?? to,
      Data: about.data ?? (await this.userMetadata(about.userId)),
    };
    const { subject, html } = await this.template(kind);
    const text = `${render(subject, values)}\n\n${kind === 'reauthentication' ? '' : `${values.ConfirmationURL}\n\n`}Code: ${code}\n`;
    await this.transport.sendMail({ from: this.from, to, subject: render(subject, values), text, html: render(html, values) });
  }

  /** [auth.email.template.KIND] of config.toml, else our own. */
  async template(kind) {
    const { subject = DEFAULTS[kind].subject, content_path: file } = this.templates[kind] ?? {};
    const html = file && (await readFile(file, 'utf8').catch((error) => console.warn(`mail template ${kind}: ${error.message}`)));
    return { subject, html: html || DEFAULTS[kind].html };
  }

  async userMetadata(userId) {
    if (!userId) return {};
    const [user] = await this.sql`select raw_user_meta_data as data from auth.users where id = ${userId}`;
    return user?.data ?? {};
  }
}
