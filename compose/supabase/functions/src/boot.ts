// The first module of every function's process. Both styles work: `Deno.serve(handler)`, and `export default { fetch }` as the Supabase CLI 3 writes it.
// Functions of the early days listen by themselves (`serve` of deno.land/std): they get the address that was meant for them.
const [, , port] = (Deno.env.get("DENO_SERVE_ADDRESS") ?? "").split(":");
const listen = Deno.listen;
try {
  Deno.listen = ((options: Deno.TcpListenOptions) => listen({ ...options, hostname: "127.0.0.1", port: Number(port) })) as typeof Deno.listen;
} catch {
  // this version of Deno does not allow it
}

const module = await import(`file://${Deno.args[0]}`);
if (typeof module.default?.fetch === "function") Deno.serve((request, info) => module.default.fetch(request, info));
else if (typeof module.default === "function") Deno.serve(module.default);
