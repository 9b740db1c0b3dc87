/**
 * A queue that is fair among flows (a flow is one user's work of one kind): start-time fair queueing (Goyal, Vin and
 * Cheng, 1996). A flow with thousands of items waiting delays another flow's single item by about one item, not by all.
 */

export type Item = {
  /** The generation's id. */
  id: string;
  userId: string;
  /** Items of one flow keep their order: `<user>/<mode>`. */
  flow: string;
  images: number;
  /** The item is dropped after this time, in milliseconds since 1970. */
  deadline: number;
};

/** The flow of a user's work. Sync requests do not wait behind the user's own async ones. */
export function flowOf(userId: string, mode: "sync" | "async"): string {
  return `${userId}/${mode}`;
}

type Queued = Item & { start: number };
type Flow = { items: Queued[]; finish: number };

export class FairQueue {
  readonly #flows = new Map<string, Flow>();
  readonly #flowOf = new Map<string, string>();
  /** The start tag of the last item taken. */
  #virtual = 0;
  #images = 0;

  get size(): number {
    return this.#flowOf.size;
  }

  /** Images of all items. */
  get images(): number {
    return this.#images;
  }

  has(id: string): boolean {
    return this.#flowOf.has(id);
  }

  /**
   * Adds an item after those of its flow, or before all items (`first`), if its turn had already come. Does nothing if
   * the id is already in the queue.
   */
  add(item: Item, place: "first" | "last" = "last"): void {
    if (this.#flowOf.has(item.id)) return;
    const flow = this.#flows.get(item.flow) ?? { items: [], finish: this.#virtual };
    if (place === "first") {
      flow.items.unshift({ ...item, start: this.#virtual });
    } else {
      const start = Math.max(this.#virtual, flow.finish);
      flow.items.push({ ...item, start });
      flow.finish = start + item.images;
    }
    this.#flows.set(item.flow, flow);
    this.#flowOf.set(item.id, item.flow);
    this.#images += item.images;
  }

  /** The item whose turn it is, or null. */
  peek(): Item | null {
    return this.#first();
  }

  /** Removes and returns that item. */
  take(): Item | null {
    const first = this.#first();
    if (!first) return null;
    this.#virtual = Math.max(this.#virtual, first.start);
    this.remove(first.id);
    for (const [name, { items, finish }] of this.#flows) {
      if (items.length === 0 && finish <= this.#virtual) this.#flows.delete(name);
    }
    return first;
  }

  remove(id: string): void {
    const name = this.#flowOf.get(id);
    const flow = name === undefined ? undefined : this.#flows.get(name);
    if (name === undefined || !flow) return;
    const at = flow.items.findIndex((item) => item.id === id);
    const [removed] = flow.items.splice(at, 1);
    this.#flowOf.delete(id);
    this.#images -= removed?.images ?? 0;
  }

  /** Images of this flow. */
  imagesOf(name: string): number {
    const flow = this.#flows.get(name);
    const [first] = flow?.items ?? [];
    return flow && first ? flow.finish - first.start : 0;
  }

  /** How many images come before a new item of this flow. */
  imagesBefore(name: string): number {
    const start = Math.max(this.#virtual, this.#flows.get(name)?.finish ?? 0);
    let before = 0;
    for (const { items, finish } of this.#flows.values()) {
      const [first] = items;
      if (first) before += Math.max(0, Math.min(finish, start) - first.start);
    }
    return before;
  }

  #first(): Queued | null {
    let first: Queued | null = null;
    for (const { items } of this.#flows.values()) {
      const [head] = items;
      if (head && (first === null || head.start < first.start)) first = head;
    }
    return first;
  }
}
