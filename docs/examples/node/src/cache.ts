/** Remembers rows that were found, for parents that nobody deletes. */

import { UsageError } from "./error.js";
import { type Parent, quoted } from "./parents.js";

/**
 * The rows found in `parents`: at most `most` of them, each for at most `seconds`.
 *
 * Only what exists is remembered: a row that is missing may be added at any time. A row that is
 * deleted stays known for up to `seconds`, so name tables alone whose rows are never deleted.
 */
export class Cache {
  private readonly labels: ReadonlySet<string>;
  private readonly until = new Map<string, number>(); // the least recently added first

  constructor(
    parents: readonly Parent[],
    private readonly most: number = 10_000,
    private readonly seconds: number = 60,
    private readonly now: () => number = Date.now,
  ) {
    if (!(most >= 1 && seconds > 0)) {
      throw new UsageError(
        `expected a positive number of rows and of seconds, got ${most} and ${seconds}`,
      );
    }
    this.labels = new Set(parents.map((parent) => quoted(parent).label));
  }

  /** Whether the row was found no longer ago than the cache's age. */
  knows(label: string, text: string): boolean {
    const key = `${label}\0${text}`;
    const until = this.until.get(key);
    if (until !== undefined && until <= this.now()) {
      this.until.delete(key);
      return false;
    }
    return until !== undefined;
  }

  /** Remember a row that was just found; of another table than its own, nothing. */
  add(label: string, text: string): void {
    if (!this.labels.has(label)) {
      return;
    }
    const key = `${label}\0${text}`;
    this.until.delete(key);
    this.until.set(key, this.now() + 1000 * this.seconds);
    for (const oldest of this.until.keys()) {
      if (this.until.size <= this.most) {
        break;
      }
      this.until.delete(oldest);
    }
  }

  /** Forget all of it, such as after a parent was deleted. */
  forget(): void {
    this.until.clear();
  }

  get size(): number {
    return this.until.size;
  }
}
