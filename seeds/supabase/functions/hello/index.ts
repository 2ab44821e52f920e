// curl http://127.0.0.1:54321/functions/v1/hello -H "apikey: $PUBLISHABLE_KEY" -d '{"name": "world"}'
import { corsHeaders } from "../_shared/cors.ts";

Deno.serve(async (request) => {
  if (request.method === "OPTIONS") return new Response("ok", { headers: corsHeaders });
  const { name = "stranger" } = await request.json().catch(() => ({}));
  return Response.json({ message: `Hello ${name}!` }, { headers: corsHeaders });
});
