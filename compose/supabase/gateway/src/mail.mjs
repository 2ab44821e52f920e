// Mails go to the catcher. The links that @supabase/lite writes lead to the app (site_url) and forget where the app wanted to be called back; both are put right here.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { SmtpEmailDriver } from '@supabase/lite';

/** What the request that causes a mail says: { redirectTo, codeChallenge, codeChallengeMethod } */
export const mailContext = new AsyncLocalStorage();

const LINK = /https?:\/\/[^\s"'<>]*?\/auth\/v1\/verify\?[^\s"'<>]+/g;

/** Let the links lead to the API, back to `redirectTo` afterwards; `mark` may change the token. */
export function rewriteLinks(text, externalUrl, redirectTo, mark = (token) => token) {
  return text?.replace(LINK, (link) => {
    const escaped = link.includes('&amp;');
    const from = new URL(escaped ? link.replaceAll('&amp;', '&') : link);
    const to = new URL(`${externalUrl}/auth/v1/verify`);
    to.search = from.search;
    to.searchParams.set('token', mark(from.searchParams.get('token')));
    if (redirectTo) to.searchParams.set('redirect_to', redirectTo);
    return escaped ? to.href.replaceAll('&', '&amp;') : to.href;
  });
}

export class MailDriver {
  constructor({ settings, sql }) {
    this.settings = settings;
    this.sql = sql;
    this.smtp = new SmtpEmailDriver({ host: settings.smtp.host, port: settings.smtp.port, from: settings.smtp.from, requireTls: false });
  }

  async send(message) {
    const { redirectTo, codeChallenge, codeChallengeMethod } = mailContext.getStore() ?? {};
    const tokens = new Set();
    // A browser that uses PKCE (@supabase/ssr does) wants a code instead of tokens when it comes back: such links carry a marked token, as those of the Auth server do.
    const mark = (token) => (codeChallenge ? (tokens.add(token), `pkce_${token}`) : token);
    const rewrite = (text) => rewriteLinks(text, this.settings.externalUrl, redirectTo, mark);
    const [text, html] = [rewrite(message.text), rewrite(message.html)];
    for (const token of tokens) {
      await this.sql`
        insert into auth.flow_state (id, authentication_method, provider_type, code_challenge, code_challenge_method, invite_token)
        values (${randomUUID()}, 'magiclink', 'email', ${codeChallenge}, ${(codeChallengeMethod ?? 's256').toLowerCase()}, ${token})`;
    }
    await this.smtp.send({ ...message, text, html });
  }
}
