// What supabase/config.toml says about functions. Only this much of TOML is read: tables [functions.NAME] and [edge_runtime.secrets] with one value per line.

export interface FunctionConfig {
  enabled: boolean;
  verify_jwt: boolean;
  import_map?: string;
  entrypoint?: string;
}

export function parseConfig(text: string, env: (name: string) => string | undefined = () => undefined) {
  const functions: Record<string, FunctionConfig> = {};
  const secrets: Record<string, string> = {};
  let target: Record<string, unknown> | null = null;
  for (const line of text.split(/\r?\n/)) {
    const table = line.match(/^\s*\[\s*([^\]]+?)\s*\]\s*(?:#.*)?$/)?.[1];
    if (table !== undefined) {
      const name = table.match(/^functions\s*\.\s*["']?([\w-]+)["']?$/)?.[1];
      if (name) target = (functions[name] ??= { enabled: true, verify_jwt: true }) as unknown as Record<string, unknown>;
      else target = /^edge_runtime\s*\.\s*secrets$/.test(table) ? secrets : null;
      continue;
    }
    const [, key, raw] = line.match(/^\s*["']?([\w-]+)["']?\s*=\s*(.+?)\s*$/) ?? [];
    if (!target || !key) continue;
    const text = raw.match(/^"((?:[^"\\]|\\.)*)"/)?.[1] ?? raw.match(/^'([^']*)'/)?.[1];
    if (text !== undefined) target[key] = text.replace(/^env\((\w+)\)$/, (_, name) => env(name) ?? "");
    else target[key] = { true: true, false: false }[raw.replace(/\s*#.*$/, "")] ?? raw;
  }
  return { functions, secrets };
}
