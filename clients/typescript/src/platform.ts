/**
 * What this package takes from the platform, by the members that it needs: so a program compiles with the library `DOM`,
 * `@types/node`, `@cloudflare/workers-types`, or none of them.
 */

/** An `AbortSignal`. */
export type Signal = {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
};

/** A `Blob`, such as a `File`. */
export type File = { readonly size: number; readonly type: string };

/** `fetch`. */
export type Fetch = typeof globalThis extends { fetch: infer Function }
  ? Function
  : (url: string, init: object) => Promise<unknown>;
