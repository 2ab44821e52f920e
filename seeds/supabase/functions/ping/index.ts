// The style of `supabase functions new` since version 3: a default export. config.toml lets it be called without a token.
import { corsHeaders } from "../_shared/cors.ts";

export default {
  fetch: () => Response.json({ pong: true, region: Deno.env.get("SB_REGION") }, { headers: corsHeaders }),
};
