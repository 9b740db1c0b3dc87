import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";

/**
 * Counted operations by kind; a kind that did not occur is missing. Round trips: `d1.query`, `d1.batch`,
 * `object.<method>`, `queue.<method>`, `r2.<method>`. Billed writes: `d1.rows`, `object.rows`, `object.alarms`.
 */
export type Operations = Record<string, number>;

type Add = (what: string, times?: number) => void;

/**
 * Counts the operations of the Worker and its objects on storage, the queue and each other, until `stop`. Tests share
 * the Worker's isolate, and so the classes of its bindings, whose methods are wrapped. Messages are counted and not
 * sent, so that the work they would start is not counted.
 */
export async function startCounting(): Promise<{ taken: () => Operations; stop: () => void }> {
  const counts = new Map<string, number>();
  const add: Add = (what, times = 1) => {
    if (times > 0) counts.set(what, (counts.get(what) ?? 0) + times);
  };
  const storage = await countStorage(add);
  const restore = [
    ...countD1(add),
    ...countObjects(add),
    ...countQueue(add),
    ...countR2(add),
    ...storage.restore,
  ];
  return {
    taken: () => {
      const rows = storage.rows();
      return { ...Object.fromEntries(counts), ...(rows > 0 ? { "object.rows": rows } : {}) };
    },
    stop: () => {
      for (const undo of restore) undo();
    },
  };
}

function countD1(add: Add) {
  const rows = (result: D1Result) => add("d1.rows", result.meta.rows_written);
  return [
    ...["all", "run", "raw", "first"].map((name) =>
      wrap<Promise<D1Result>>(classOf(env.DB.prepare("")), name, async (call) => {
        add("d1.query");
        const result = await call();
        if (name === "all" || name === "run") rows(result);
        return result;
      }),
    ),
    wrap<Promise<D1Result[]>>(classOf(env.DB), "batch", async (call) => {
      add("d1.batch");
      const results = await call();
      results.forEach(rows);
      return results;
    }),
  ];
}

function countObjects(add: Add) {
  return ["get", "getByName"].map((name) =>
    wrap<object>(classOf(env.ACCOUNT), name, (call) => {
      return new Proxy(call(), {
        get(target, method) {
          const member: unknown = Reflect.get(target, method);
          if (typeof member !== "function") return member;
          return (...parameters: unknown[]) => {
            add(`object.${String(method)}`);
            return Reflect.apply(member, target, parameters);
          };
        },
      });
    }),
  );
}

function countQueue(add: Add) {
  return ["send", "sendBatch"].map((name) =>
    wrap(classOf(env.GENERATIONS), name, async () => add(`queue.${name}`)),
  );
}

function countR2(add: Add) {
  return ["get", "put", "head", "list", "delete", "createMultipartUpload"].map((name) =>
    wrap(classOf(env.IMAGES), name, (call) => {
      add(`r2.${name}`);
      return call();
    }),
  );
}

/** Returns a function that undoes it, and the rows written so far: a cursor knows its count once it has been read. */
async function countStorage(add: Add) {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const [storage, sql] = await runInDurableObject(env.ACCOUNT.getByName(crypto.randomUUID()), (_, state) => [
    classOf(state.storage),
    classOf(state.storage.sql),
  ]);
  const restore = [
    wrap<(typeof cursors)[number]>(sql, "exec", (call) => {
      const cursor = call();
      cursors.push(cursor);
      return cursor;
    }),
    wrap(storage, "setAlarm", (call) => {
      add("object.alarms");
      return call();
    }),
  ];
  return { restore, rows: () => cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0) };
}

function classOf(instance: object): object {
  return Object.getPrototypeOf(instance);
}

/** Replaces a method by `seen`, which may make the call itself. Returns a function that undoes it. */
function wrap<R>(owner: object, name: string, seen: (call: () => R) => unknown): () => void {
  const original: unknown = Reflect.get(owner, name);
  if (typeof original !== "function") throw new Error(`There is no method ${name} to count.`);
  const counted = function (this: unknown, ...parameters: unknown[]) {
    return seen(() => Reflect.apply(original, this, parameters));
  };
  Reflect.set(owner, name, counted);
  return () => Reflect.set(owner, name, original);
}
