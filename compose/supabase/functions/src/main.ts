// /NAME/... goes to supabase/functions/NAME. Each function is a Deno process of its own that starts with its first request and restarts itself when its files change.
import { isValidToken, legacyKey } from "./auth.mjs";
import { parseConfig } from "./config.mjs";

const supabase = Deno.env.get("SUPABASE_DIR") ?? "/project/supabase";
const directory = `${supabase}/functions`;
const secret = Deno.env.get("JWT_SECRET") ?? "";
const publishable = Deno.env.get("PUBLISHABLE_KEY") ?? "";
const secretKey = Deno.env.get("SECRET_KEY") ?? "";
const anon = Deno.env.get("ANON_KEY") || (await legacyKey("anon", secret));
const serviceRole = Deno.env.get("SERVICE_ROLE_KEY") || (await legacyKey("service_role", secret));
const keys = new Set([publishable, secretKey, anon, serviceRole]);
const BOOT_TIMEOUT_MS = 30_000;

for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => Deno.exit(0));

/** What the hosted platform puts into the environment of a function. */
const environment = {
  SUPABASE_URL: Deno.env.get("SUPABASE_URL") ?? "http://api:54321",
  SUPABASE_ANON_KEY: anon,
  SUPABASE_SERVICE_ROLE_KEY: serviceRole,
  SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: publishable }),
  SUPABASE_SECRET_KEYS: JSON.stringify({ default: secretKey }),
  SUPABASE_DB_URL: Deno.env.get("SUPABASE_DB_URL") ?? "",
  SB_REGION: "local",
  NO_COLOR: "1",
};

interface Worker {
  port: number;
  /** the last error of a function that does not start */
  failure: string | null;
  exited: boolean;
  stop: () => unknown;
}
const workers = new Map<string, Promise<Worker | null>>();
let nextPort = 9100;

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
const readConfig = async () => parseConfig(await Deno.readTextFile(`${supabase}/config.toml`).catch(() => ""), (name) => Deno.env.get(name));

async function entrypoint(name: string, configured?: string): Promise<string | null> {
  const candidates = configured ? [`${supabase}/${configured}`] : ["ts", "js", "tsx", "mjs"].map((extension) => `${directory}/${name}/index.${extension}`);
  for (const path of candidates) if (await exists(path)) return path;
  return null;
}

async function start(name: string): Promise<Worker | null> {
  const { functions, secrets } = await readConfig();
  const config = functions[name];
  const entry = await entrypoint(name, config?.entrypoint);
  if (!entry || config?.enabled === false) return null;

  const folder = entry.slice(0, entry.lastIndexOf("/"));
  const watched = [folder];
  if (await exists(`${directory}/_shared`)) watched.push(`${directory}/_shared`);
  const args = ["run", "-A", `--watch=${watched.join(",")}`, "--no-clear-screen", "--no-lock"];
  const importMap = config?.import_map ? [`${supabase}/${config.import_map}`] : [];
  for (const path of [...importMap, `${folder}/deno.json`, `${folder}/deno.jsonc`, `${directory}/deno.json`]) {
    if (await exists(path)) {
      args.push(path === importMap[0] && !/deno\.jsonc?$/.test(path) ? "--import-map" : "--config", path);
      break;
    }
  }
  if (await exists(`${directory}/.env`)) args.push(`--env-file=${directory}/.env`);

  const port = nextPort++;
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, new URL("boot.ts", import.meta.url).pathname, entry],
    cwd: folder,
    env: { ...environment, ...secrets, DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const worker: Worker = { port, failure: null, exited: false, stop: () => worker.exited || child.kill("SIGKILL") };
  let lines: string[] = [];
  forward(child.stdout, (line) => console.log(`[${name}] ${line}`));
  forward(child.stderr, (line) => {
    if (line.startsWith("Watcher")) {
      if (line.includes("failed")) worker.failure = lines.join("\n");
      else if (line.includes("change detected") || line.includes("Restarting")) [worker.failure, lines] = [null, []];
      return;
    }
    if (/^Listening on /.test(line)) return;
    lines = [...lines, line].slice(-20);
    console.error(`[${name}] ${line}`);
  });
  child.status.then(({ code }) => {
    console.log(`[${name}] ended with ${code}`);
    worker.exited = true;
    if (!worker.failure) workers.delete(name);
  });
  return worker;
}

async function forward(stream: ReadableStream<Uint8Array>, print: (line: string) => void) {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(print);
  }
  if (rest) print(rest);
}

/** One start for any number of first requests. A function that was not there, or did not start, is tried again with the next request: the reason may have been a file elsewhere, or the network. */
async function workerOf(name: string): Promise<Worker | null> {
  const started = workers.get(name);
  const known = await started;
  if (known?.failure && workers.get(name) === started) {
    known.stop();
    workers.delete(name);
  }
  if (!workers.has(name)) workers.set(name, start(name));
  const worker = await workers.get(name)!;
  if (!worker) workers.delete(name);
  return worker;
}

const error = (status: number, code: string, message: string) =>
  Response.json({ code, message }, { status, headers: { "access-control-allow-origin": "*", "access-control-expose-headers": "sb-error-code", "sb-error-code": code } });

async function isAllowed(request: Request, name: string): Promise<boolean> {
  if (request.method === "OPTIONS" || (await readConfig()).functions[name]?.verify_jwt === false) return true;
  const token = request.headers.get("authorization")?.replace(/^Bearer /i, "") || request.headers.get("apikey") || "";
  return keys.has(token) || (await isValidToken(token, secret));
}

Deno.serve({ port: 8000, hostname: "0.0.0.0", onListen: () => console.log(`functions ready: ${directory}`) }, async (request) => {
  const url = new URL(request.url);
  const name = url.pathname.split("/")[1];
  if (name === "_health") return new Response("OK");
  if (!/^[A-Za-z0-9][\w-]*$/.test(name)) return error(404, "NOT_FOUND", "Requested function was not found");
  if (!(await isAllowed(request, name))) return error(401, "UNAUTHORIZED", "Invalid JWT");
  const worker = await workerOf(name);
  if (!worker) return error(404, "NOT_FOUND", "Requested function was not found");

  const body = request.body ? await request.arrayBuffer() : undefined;
  const deadline = Date.now() + BOOT_TIMEOUT_MS;
  let last: unknown;
  while (Date.now() < deadline && !worker.exited && !worker.failure) {
    try {
      return await fetch(`http://127.0.0.1:${worker.port}${url.pathname}${url.search}`, { method: request.method, headers: request.headers, body, redirect: "manual" });
    } catch (failure) {
      last = failure instanceof Error ? (failure.cause ?? failure) : failure;
      // Only a refused connection is tried again: whatever was sent may have had its effect.
      if (!String(last).includes("refused")) break;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  return error(503, "BOOT_ERROR", `Function failed to start (please check logs): ${worker.failure ?? last}`);
});
