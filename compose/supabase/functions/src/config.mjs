// What supabase/config.toml says about functions. Only this much of TOML is read: tables [functions.NAME] and [edge_runtime.secrets] with one value per line.

/** @returns {{ functions: Record<string, { enabled: boolean, verify_jwt: boolean, import_map?: string, entrypoint?: string }>, secrets: Record<string, string> }} */
export function parseConfig(text, env = () => undefined) {
  const functions = {};
  const secrets = {};
  let target = null;
  for (const line of text.split(/\r?\n/)) {
    const table = line.match(/^\s*\[\s*([^\]]+?)\s*\]\s*(?:#.*)?$/)?.[1];
    if (table !== undefined) {
      const name = table.match(/^functions\s*\.\s*["']?([\w-]+)["']?$/)?.[1];
      if (name) target = functions[name] ??= { enabled: true, verify_jwt: true };
      else target = /^edge_runtime\s*\.\s*secrets$/.test(table) ? secrets : null;
      continue;
    }
    const [, key, value] = line.match(/^\s*["']?([\w-]+)["']?\s*=\s*(.+?)\s*$/) ?? [];
    if (!target || !key) continue;
    const string = value.match(/^"((?:[^"\\]|\\.)*)"/)?.[1] ?? value.match(/^'([^']*)'/)?.[1];
    if (string !== undefined) target[key] = string.replace(/^env\((\w+)\)$/, (_, name) => env(name) ?? '');
    else target[key] = { true: true, false: false }[value.replace(/\s*#.*$/, '')] ?? value;
  }
  return { functions, secrets };
}
