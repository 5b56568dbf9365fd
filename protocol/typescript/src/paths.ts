/** What a path says, and what is there. */
import { accessSync, constants, statSync, type Stats } from "node:fs";

/** Whether it has to be looked up on the PATH. */
export function isName(command: string, platform: string = process.platform): boolean {
  return !command.includes("/") && !(platform === "win32" && /[\\:]/.test(command));
}

/** What is at a path; undefined if nothing is there, or nothing that this user may know of. */
export function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

export function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
