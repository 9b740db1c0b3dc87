import * as z from "zod";
import { ConfigError } from "../config.ts";
import { lowestUserId } from "../id.ts";

/**
 * The databases of the log. A user's rows are all in one of them, for good: the n-th date of `LOG_SHARDS` begins the
 * database `LOG_<n + 1>`, which has the users who are created from that day on (UTC). Without dates, `LOG` has all users.
 */
export type LogEnv = Pick<Env, "LOG"> & {
  LOG_2?: D1Database;
  LOG_3?: D1Database;
  LOG_4?: D1Database;
  LOG_5?: D1Database;
  LOG_6?: D1Database;
  LOG_7?: D1Database;
  LOG_8?: D1Database;
  LOG_SHARDS?: string;
};

/** One database of the log. Each has the users between two ids, so all of them, one after another, are in order of users. */
export type Shard = {
  /** The name of its binding. */
  name: string;
  d1: D1Database;
  /** The lowest id that a user of it can have. */
  fromUserId: string;
};

const Dates = z.array(z.iso.date()).max(7, { message: "at most 7 dates" });

const known = new WeakMap<object, readonly Shard[]>();

/**
 * All databases of the log, oldest users first.
 * @throws {ConfigError} when `LOG_SHARDS` is invalid, or a database that it begins is not bound
 */
export function logShards(env: LogEnv): readonly Shard[] {
  const found = known.get(env) ?? readShards(env);
  known.set(env, found);
  return found;
}

/** The database with the rows of a user. @throws {ConfigError} */
export function logOf(env: LogEnv, userId: string): D1Database {
  return shardOf(env, userId).d1;
}

/**
 * The database with the rows of a user, and where a walk over all users goes on after its last row.
 * @param userId "" for the first database
 * @returns `next`: the lowest id of the next database's users; null at the end of the log
 * @throws {ConfigError}
 */
export function shardOf(env: LogEnv, userId: string): { d1: D1Database; next: string | null } {
  const shards = logShards(env);
  const after = shards.findIndex(({ fromUserId }) => fromUserId > userId);
  const own = shards.at(after === -1 ? -1 : after - 1);
  return { d1: own?.d1 ?? env.LOG, next: shards[after]?.fromUserId ?? null };
}

function readShards(env: LogEnv): Shard[] {
  const first = { name: "LOG", d1: env.LOG, fromUserId: "" };
  const { LOG_SHARDS: setting = "" } = env;
  if (setting.trim() === "") return [first];
  const dates = Dates.safeParse(setting.split(",").map((date) => date.trim()));
  if (!dates.success) throw new ConfigError(`LOG_SHARDS must be dates: ${z.prettifyError(dates.error)}`);
  if (dates.data.some((date, index) => index > 0 && date <= (dates.data[index - 1] ?? "")))
    throw new ConfigError("LOG_SHARDS must have each date after the one before.");
  const { LOG_2, LOG_3, LOG_4, LOG_5, LOG_6, LOG_7, LOG_8 } = env;
  const bound = [LOG_2, LOG_3, LOG_4, LOG_5, LOG_6, LOG_7, LOG_8];
  const others = dates.data.map((date, index) => {
    const [name, d1] = [`LOG_${index + 2}`, bound[index]];
    if (d1 === undefined) throw new ConfigError(`LOG_SHARDS begins ${name}, which is not bound.`);
    return { name, d1, fromUserId: lowestUserId(Date.parse(date)) };
  });
  return [first, ...others];
}
