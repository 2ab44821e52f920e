// Who may see what: row level security is asked for every row and for every private channel, as the role and with the claims of the subscriber.

const claimSettings = (sql, claims, topic = '') => sql`
  select set_config('role', ${claims.role ?? 'anon'}, true), set_config('request.jwt.claims', ${JSON.stringify(claims)}, true), set_config('request.jwt.claim.sub', ${claims.sub ?? ''}, true),
         set_config('request.jwt.claim.role', ${claims.role ?? 'anon'}, true), set_config('realtime.topic', ${topic}, true)`;

export class Access {
  #published = { at: 0, tables: new Set() };

  constructor({ sql }) {
    this.sql = sql;
  }

  /** Another database may publish other tables. */
  forget() {
    this.#published.at = 0;
  }

  async isPublished(schema, table) {
    if (Date.now() - this.#published.at > 1000) {
      const rows = await this.sql`select schemaname || '.' || tablename as name from pg_publication_tables where pubname = 'supabase_realtime'`;
      this.#published = { at: Date.now(), tables: new Set(rows.map(({ name }) => name)) };
    }
    return this.#published.tables.has(`${schema}.${table}`);
  }

  /** A deleted row can no longer be checked; its primary key is all that is told of it, as by the official server. */
  async canSee(claims, { data, primaryKey }) {
    if (data.type === 'DELETE' || claims.role === 'service_role') return true;
    if (!primaryKey.length) return false;
    try {
      return await this.sql.begin(async (sql) => {
        await claimSettings(sql, claims);
        const conditions = primaryKey.map((column, i) => `${quote(column)}::text = $${i + 1}`).join(' and ');
        const rows = await sql.unsafe(`select 1 from ${quote(data.schema)}.${quote(data.table)} where ${conditions}`, primaryKey.map((column) => String(data.record[column])));
        return rows.length > 0;
      });
    } catch {
      return false;
    }
  }

  /** Policies on realtime.messages guard private channels: may these claims read, may they write? Nothing of the trial stays. */
  async toTopic(claims, topic) {
    if (claims.role === 'service_role') return { read: true, write: true };
    const result = { read: false, write: false };
    class Undo extends Error {}
    try {
      await this.sql.begin(async (sql) => {
        const trials = await sql`insert into realtime.messages (topic, extension) values (${topic}, 'broadcast'), (${topic}, 'presence') returning id`;
        await claimSettings(sql, claims, topic);
        result.read = (await sql`select 1 from realtime.messages where id in ${sql(trials.map(({ id }) => id))}`).length > 0;
        result.write = await sql.savepoint(async (inner) => inner`insert into realtime.messages (topic, extension) values (${topic}, 'broadcast')`).then(() => true, () => false);
        throw new Undo();
      });
    } catch (error) {
      if (!(error instanceof Undo)) console.error(`access to ${topic}: ${error.message}`);
    }
    return result;
  }
}

const quote = (name) => `"${name.replaceAll('"', '""')}"`;
