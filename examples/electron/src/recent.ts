/** The recordings that were opened last, newest first. They are kept in a JSON file. */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

const MOST = 10;

export interface Opened {
  id: string;
  path: string;
  /** When, in ISO 8601. */
  opened: string;
}

export class Recent {
  #all: Promise<Opened[]> | undefined;

  constructor(private readonly file: string) {}

  all(): Promise<readonly Opened[]> {
    return (this.#all ??= read(this.file));
  }

  add(path: string): Promise<void> {
    const opened = { id: randomUUID(), path, opened: new Date().toISOString() };
    return this.#change((all) => [opened, ...all.filter((each) => each.path !== path)]);
  }

  remove(id: string): Promise<void> {
    return this.#change((all) => all.filter((each) => each.id !== id));
  }

  clear(): Promise<void> {
    return this.#change(() => []);
  }

  /** One change after another. A list that cannot be written is no reason to open nothing. */
  async #change(change: (all: readonly Opened[]) => Opened[]): Promise<void> {
    const before = this.all();
    this.#all = before.then(async (all) => {
      const after = change(all).slice(0, MOST);
      await write(this.file, after).catch(tell);
      return after;
    });
    await this.#all;
  }
}

async function read(file: string): Promise<Opened[]> {
  try {
    const all = JSON.parse(await readFile(file, "utf8")) as Opened[];
    return all.slice(0, MOST).map(({ path, opened }) => {
      return { id: randomUUID(), path: String(path), opened: new Date(opened).toISOString() };
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") tell(error);
    return [];
  }
}

function tell(error: unknown): void {
  console.error(`The list of recent recordings: ${(error as Error).message}`);
}

/** Atomically: a program that ends halfway leaves the list as it was. */
async function write(file: string, all: readonly Opened[]): Promise<void> {
  const half = `${file}.${process.pid}`;
  const kept = all.map(({ path, opened }) => ({ path, opened }));
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(half, JSON.stringify(kept, null, 2));
    await rename(half, file);
  } catch (error) {
    await rm(half, { force: true });
    throw error;
  }
}
