/** Finds every process of an application, whatever became of its parents (Linux). */
import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  id: number;
  parent: number;
  session: number;
  /** In ticks since the system's start. */
  started: string;
  command: string;
  environment: string;
}

/** Names a process for good: its id is used again. */
export function nameOf({ id, started }: Process): string {
  return `${id} ${started}`;
}

/** What runs now. */
export function processes(): Process[] {
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return ids.flatMap((id) => {
    const stat = read(id, "stat");
    // The name before the last bracket may hold anything.
    const [state, parent, , session, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (stat === "" || state === "Z") return []; // it has ended
    return {
      id: Number(id),
      parent: Number(parent),
      session: Number(session),
      started: rest[15]!,
      command: read(id, "cmdline").replaceAll("\0", " "),
      environment: read(id, "environ"),
    };
  });
}

/** Nothing, if the process has ended, or hides it from its user, as a sandboxed one does. */
function read(id: string, file: string): string {
  try {
    return readFileSync(`/proc/${id}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/**
 * The processes that descend from `root`, that are in its session, or that have this mark in their
 * environment: what leaves the family in one of these ways is found by another.
 */
export function family(root: number, mark: string): Process[] {
  const all = processes();
  const ids = new Set([root]);
  for (let before = 0; before !== ids.size; ) {
    before = ids.size;
    for (const { id, parent } of all) if (ids.has(parent)) ids.add(id);
  }
  return all.filter(
    ({ id, session, environment }) => ids.has(id) || session === root || environment.includes(mark),
  );
}
