import { setTimeout as sleep } from "node:timers/promises";

/** Waits until it is so; throws what it waits for when a busy machine would have got there, too. */
export async function until(
  what: string,
  so: () => boolean | Promise<boolean>,
  { patienceMs = 60_000, everyMs = 100 } = {},
): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await so()); await sleep(everyMs)) {
    if (Date.now() > end) throw new Error(`Waited in vain: ${what}`);
  }
}
