// Changes of the published tables, from a TEMPORARY wal2json slot that is read over an ordinary session. A permanent slot would be copied into snapshots and branches and keep their WAL for ever.
import postgres from 'postgres';
import { lasting, persist } from '../../shared/connections.mjs';

const ACTIVE_POLL_MS = 100;
const IDLE_POLL_MS = 1000;
const RETRY_MS = 500;

const TYPES = { I: 'INSERT', U: 'UPDATE', D: 'DELETE' };
const SHORT_NAMES = {
  bigint: 'int8', boolean: 'bool', character: 'bpchar', 'character varying': 'varchar', 'double precision': 'float8', integer: 'int4', real: 'float4', smallint: 'int2',
  'timestamp with time zone': 'timestamptz', 'timestamp without time zone': 'timestamp', 'time with time zone': 'timetz', 'time without time zone': 'time',
};

/** wal2json says "character varying(20)" and "integer[]"; realtime-js converts values by the short names "varchar" and "_int4". */
export function shortType(name) {
  const plain = name.replace(/\([^)]*\)/, '').replace(/\s+/g, ' ').trim();
  const element = plain.replace(/(\[\])+$/, '');
  return (plain === element ? '' : '_') + (SHORT_NAMES[element] ?? element);
}

const object = (columns) => Object.fromEntries((columns ?? []).map(({ name, value }) => [name, value]));

/** One line of wal2json → what subscribers are told, and the primary key for the check of who may see it. */
export function toChange(line) {
  const type = TYPES[line.action];
  if (!type) return null;
  return {
    data: {
      schema: line.schema,
      table: line.table,
      commit_timestamp: line.timestamp,
      type,
      columns: (line.columns ?? line.identity ?? []).map(({ name, type: columnType }) => ({ name, type: shortType(columnType) })),
      record: type === 'DELETE' ? {} : object(line.columns),
      old_record: type === 'INSERT' ? {} : object(line.identity),
      errors: null,
    },
    primaryKey: (line.pk ?? []).map(({ name }) => name),
  };
}

const compare = {
  eq: (a, b) => a === b, neq: (a, b) => a !== b, gt: (a, b) => a > b, gte: (a, b) => a >= b, lt: (a, b) => a < b, lte: (a, b) => a <= b,
};

/** "column=eq.value", "column=in.(a,b)" */
export function matchesFilter(filter, record) {
  if (!filter) return true;
  const [, column, operator, operand] = filter.match(/^([^=]+)=(\w+)\.(.*)$/s) ?? [];
  if (!column) return false;
  const actual = record?.[column];
  if (actual === undefined || actual === null) return false;
  if (operator === 'in') return operand.replace(/^\(|\)$/g, '').split(',').map((item) => item.trim().replace(/^"|"$/g, '')).includes(String(actual));
  const numeric = typeof actual === 'number' && operand.trim() !== '' && !Number.isNaN(Number(operand));
  return compare[operator]?.(numeric ? actual : String(actual), numeric ? Number(operand) : operand) ?? false;
}

export function wants({ event = '*', schema = '*', table, filter }, { type, schema: changedSchema, table: changedTable, record, old_record: oldRecord }) {
  return (event === '*' || event.toUpperCase() === type) && (schema === '*' || schema === changedSchema) && (!table || table === '*' || table === changedTable)
    && matchesFilter(filter, type === 'DELETE' ? oldRecord : record);
}

export class Changes {
  ready = false;
  #wake = () => {};

  /** `isActive()`: is anybody listening? `deliver(line)`: a line of wal2json. `begin()`: another server is being read, which may hold other data. */
  constructor({ databaseUrl, isActive, deliver, begin = () => {} }) {
    Object.assign(this, { databaseUrl, isActive, deliver, begin });
    this.#run();
  }

  /** Somebody subscribed: do not sleep out the idle pause. */
  wake() {
    this.#wake();
  }

  async #run() {
    for (;;) {
      const state = { lost: false };
      const onclose = () => {
        state.lost = this.ready;
        this.#wake();
      };
      const session = postgres(this.databaseUrl, { ...lasting, max: 1, onclose });
      try {
        await this.#read(session, state);
      } catch (error) {
        console.error(`reading changes: ${error.message}`);
      }
      this.ready = false;
      await session.end({ timeout: 0 }).catch(() => {});
      // A database that was replaced is followed at once.
      if (!state.lost) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #read(session, state) {
    const slot = `devenv_realtime_${process.pid}_${Date.now()}`;
    await persist(() => session`select 1`);
    await session`select pg_create_logical_replication_slot(${slot}, 'wal2json', true)`;
    this.ready = true;
    this.begin();
    console.log(`changes: reading from the temporary slot ${slot}`);
    while (!state.lost) {
      const lines = await session`
        select data from pg_logical_slot_get_changes(${slot}, null, null, 'format-version', '2', 'include-pk', 'true', 'include-timestamp', 'true', 'include-transaction', 'false')`;
      for (const { data } of lines) await this.deliver(JSON.parse(data)).catch((error) => console.error(`delivering a change: ${error.message}`));
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, this.isActive() ? ACTIVE_POLL_MS : IDLE_POLL_MS);
      });
    }
    throw new Error('the database went away');
  }
}
