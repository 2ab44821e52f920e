// @supabase/lite reads the schema once. A migration, psql or another branch of the data changes it: the database says so on the channel `pgrst` (an event trigger of the image
// notifies after every DDL statement), and here the cache is read again. The listener reconnects by itself, and reads again then: the database behind it may be another one.
const SETTLE_MS = 30;
const RETRY_MS = 300;

export class SchemaCache {
  loaded = false;
  #timer;

  constructor({ connection, sql }) {
    Object.assign(this, { connection, sql });
    sql.listen('pgrst', (payload) => this.schedule(payload || 'notification'), () => this.schedule('connected'))
      .catch((error) => console.error(`listening for schema changes: ${error.message}`));
  }

  /** A migration sends a notification per statement: wait until they settle. */
  schedule(why, delay = SETTLE_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reload(why), delay);
  }

  async #reload(why) {
    const start = performance.now();
    try {
      await this.connection.clearSchemaCache();
      await this.connection.introspect({ useCache: false });
      await this.#teachTypes();
      this.loaded = true;
      console.log(`schema read in ${Math.round(performance.now() - start)} ms (${why})`);
    } catch (error) {
      this.loaded = false;
      console.error(`reading the schema: ${error.message}`);
      this.schedule(why, RETRY_MS);
    }
  }

  /** supabase-js sends a vector as an array of numbers; the driver would write it as an SQL array. The type's number is known only once the extension is there. */
  async #teachTypes() {
    const vectors = await this.sql`select oid::int from pg_type where typname in ('vector', 'halfvec')`;
    for (const { oid } of vectors) this.connection.driver.options.serializers[oid] = (value) => (Array.isArray(value) ? JSON.stringify(value) : String(value));
  }
}
