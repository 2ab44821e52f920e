// What is not @supabase/lite's goes on to the other services: functions, realtime, meta.
import http from 'node:http';

const CORS = { 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS' };
const fail = (response, status, message) => response.writeHead(status, { 'content-type': 'application/json', ...CORS }).end(JSON.stringify({ message }));

export class Proxy {
  constructor({ upstreams, keys }) {
    this.keys = keys;
    this.routes = Object.entries(upstreams);
  }

  /** The route of a path: [prefix, upstream or undefined], or undefined if the path is not ours. */
  route(url) {
    return this.routes.find(([prefix]) => url === prefix || url.startsWith(`${prefix}/`) || url.startsWith(`${prefix}?`));
  }

  target([prefix, upstream], request) {
    const { hostname, port, host } = new URL(upstream);
    const path = request.url.slice(prefix.length);
    const forwarded = { 'x-forwarded-host': request.headers['x-forwarded-host'] ?? request.headers.host, 'x-forwarded-prefix': prefix, 'x-forwarded-proto': request.headers['x-forwarded-proto'] ?? 'http' };
    return { hostname, port, method: request.method, path: path.startsWith('/') ? path : `/${path}`, headers: { ...request.headers, ...forwarded, host } };
  }

  handle(route, request, response) {
    const [prefix, upstream] = route;
    if (request.method === 'OPTIONS' && prefix !== '/functions/v1') {
      response.writeHead(204, { ...CORS, 'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'authorization, apikey, content-type' }).end();
      return;
    }
    if (!upstream) return fail(response, 501, `${prefix} is not part of this stack`);
    if (prefix === '/pg' && this.keys.role(request.headers.apikey) !== 'service_role') return fail(response, 403, '/pg needs the secret key');
    const outgoing = http.request(this.target(route, request), (incoming) => {
      response.writeHead(incoming.statusCode, { 'access-control-allow-origin': '*', ...incoming.headers });
      incoming.pipe(response);
    });
    outgoing.on('error', (error) => (response.headersSent ? response.destroy() : fail(response, 502, `${prefix}: the service behind it does not answer (${error.code})`)));
    response.on('close', () => outgoing.destroy());
    request.pipe(outgoing);
  }

  /** WebSockets */
  upgrade(request, socket, head) {
    const route = this.route(request.url);
    if (!route?.[1]) return socket.destroy();
    const outgoing = http.request(this.target(route, request));
    socket.on('error', () => outgoing.destroy());
    outgoing.on('upgrade', (incoming, upstream, upstreamHead) => {
      const headers = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`);
      if (upstreamHead.length) socket.write(upstreamHead);
      if (head.length) upstream.write(head);
      upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy());
      socket.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
      upstream.pipe(socket).pipe(upstream);
    });
    outgoing.on('response', (incoming) => socket.end(`HTTP/1.1 ${incoming.statusCode} ${incoming.statusMessage}\r\nconnection: close\r\n\r\n`));
    outgoing.on('error', () => socket.destroy());
    outgoing.end();
  }
}
