/** The recordings that the user has opened, now and before. The page knows them by ids alone. */
import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { RecentRecording, Recording } from "./api.js";
import { Refusal } from "./checks.js";
import { Recent } from "./recent.js";

export class Recordings {
  /** By id. */
  readonly #paths = new Map<string, string>();
  readonly #recent: Recent;

  /** `list` is the file of what was opened last. */
  constructor(list: string) {
    this.#recent = new Recent(list);
  }

  pathOf(id: string): string | undefined {
    return this.#paths.get(id);
  }

  async add(path: string): Promise<Recording> {
    const { size } = await stat(path).catch(() => {
      throw new Refusal(`${basename(path)} cannot be read.`, "Open an existing file.");
    });
    const id = randomUUID();
    this.#paths.set(id, path);
    await this.#recent.add(path);
    return { id, name: basename(path), size };
  }

  async recent(): Promise<RecentRecording[]> {
    const all = await this.#recent.all();
    return all.map(({ id, path, opened }) => ({ id, name: basename(path), opened }));
  }

  /** Opens one that was opened before. */
  async again(id: string): Promise<Recording> {
    const { path } = (await this.#recent.all()).find((each) => each.id === id) ?? {};
    if (path === undefined) throw new Refusal("No such recording was opened.", "Open it anew.");
    return this.add(path).catch(async () => {
      await this.#recent.remove(id);
      throw new Refusal(
        `${basename(path)} is no longer there.`,
        "It is off the list now. If it was moved, open it from its new place.",
      );
    });
  }

  forget(): Promise<void> {
    return this.#recent.clear();
  }
}
