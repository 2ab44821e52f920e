// How the services reach a neighbour that may be replaced under them (`devenv db branch switch`): at once when it is back, without pauses that grow.
import dns from 'node:dns';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const LOOKUP_MS = 250;
const CONNECT_MS = 500;
const RETRY_MS = 20;
const TELL_MS = 2000;
const LONG_MS = 10_000;
const LONG_RETRY_MS = 250;

const resolver = new dns.promises.Resolver({ timeout: LOOKUP_MS, tries: 1 });
const known = new Set();

/**
 * The engine forgets the name of a container that is stopped and asks the machine's own name server for it. On a laptop without a network the system's lookup would wait
 * for that for seconds, with one of the few threads that also read files.
 */
export function lookup(host, options, done) {
  const answer = (addresses) => {
    known.add(host);
    return options.all ? done(null, addresses.map((address) => ({ address, family: 4 }))) : done(null, addresses[0], 4);
  };
  // Names that only the machine's own files know are for the system.
  resolver.resolve4(host).then(answer, (error) => (known.has(host) ? done(error) : dns.lookup(host, options, done)));
}

/** A socket that is being connected. An address that nobody has any more swallows packets: it is given up soon. */
export function dial(host, port) {
  const socket = net.connect({ host, port, lookup });
  const late = () => socket.destroy(Object.assign(new Error(`no connection to ${host}:${port} within ${CONNECT_MS} ms`), { code: 'ETIMEDOUT' }));
  const timer = setTimeout(late, CONNECT_MS);
  const done = () => clearTimeout(timer);
  return socket.once('connect', done).once('close', done);
}

/** Options for postgres.js: a session ends only when the server ends it. */
export const lasting = {
  socket: ({ host: [host], port: [port] }) => dial(host, port), backoff: RETRY_MS / 1000, idle_timeout: null, max_lifetime: null, onnotice() {},
};

/** What `ask` gives, asked again and again until it does not fail. Whoever leaves a database stopped does not want busy neighbours: after a while it is asked less often. */
export async function persist(ask) {
  const start = performance.now();
  let told = false;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const waited = performance.now() - start;
      if (!told && waited > TELL_MS) {
        console.log(`waiting for the database (${error.code ?? error.message})`);
        told = true;
      }
      await pause(waited > LONG_MS ? LONG_RETRY_MS : RETRY_MS);
    }
  }
}
