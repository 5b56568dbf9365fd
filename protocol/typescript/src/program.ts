/**
 * Says why a program did not start. The system gives a number for it, the same for several causes,
 * so what is at the path has to tell. Only asked after a failure: what looks foreign may run, under
 * an emulator.
 */
import { closeSync, openSync, readSync } from "node:fs";
import type { Ending } from "./errors.js";
import type { Command } from "./options.js";
import { isName, look, mayRun } from "./paths.js";

const HEAD_BYTES = 4096;
const ELF_MACHINES: Record<number, string> = { 3: "ia32", 40: "arm", 62: "x64", 183: "arm64" };
const MACH_MACHINES: Record<number, string> = { 0x01000007: "x64", 0x0100000c: "arm64" };
const PE_MACHINES: Record<number, string> = { 0x14c: "ia32", 0x8664: "x64", 0xaa64: "arm64" };
const OTHER = "another machine";
const SYSTEMS: Record<string, string> = { linux: "Linux", darwin: "macOS", win32: "Windows" };
/** With which a shell ends that was given a foreign program: Linux tries one if it knows no better. */
const SHELL_REFUSES = [2, 126, 127];

/** The cause in a sentence; undefined if the file shows nothing that would explain the ending. */
export function whyNot(
  command: string,
  { startError, exitCode }: Pick<Ending, "startError" | "exitCode">,
  { cwd }: Pick<Command, "cwd"> = {},
): string | undefined {
  const code = (startError as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOENT" && cwd !== undefined && !look(cwd)?.isDirectory()) {
    return `its working directory ${cwd} does not exist.`;
  }
  if (isName(command)) return code === "ENOENT" ? `${command} is not on the PATH.` : undefined;
  const file = look(command);
  if (!file) return startError && `there is no file ${command}.`;
  if (file.isDirectory()) return `${command} is a folder: name the program in it.`;
  if (code === "EACCES" && !mayRun(command)) {
    return `${command} may not be executed. Run: chmod +x '${command}'`;
  }
  const head = headOf(command);
  if (head?.length === 0) return `${command} is empty: it was not copied whole.`;
  if (!startError && !SHELL_REFUSES.includes(exitCode ?? 0)) return undefined;
  const foreign = head && foreignTo(head, process.platform, process.arch);
  if (foreign) return `${command} is a program for ${foreign}.`;
  if (code === "ENOENT") return `${command} is there, but not ${starterOf(head)}.`;
  return undefined;
}

/** For which machine a program is, if not for this one; undefined for what is no such program. */
export function foreignTo(head: Buffer, platform: string, arch: string): string | undefined {
  const target = targetOf(head);
  if (!target) return undefined;
  const [system, machine] = target;
  if (system === platform && (machine === undefined || machine === arch)) return undefined;
  const here = `${SYSTEMS[platform] ?? platform} on ${arch}`;
  const there = SYSTEMS[system] ?? system;
  return `${there}${machine ? ` on ${machine}` : ""}, and this process runs on ${here}`;
}

/** The system of a program, and its machine if it names one. */
function targetOf(head: Buffer): [system: string, machine?: string] | undefined {
  if (head.length < 64) return undefined;
  const magic = head.readUInt32BE(0);
  if (magic === 0x7f454c46) return ["linux", ELF_MACHINES[head.readUInt16LE(18)] ?? OTHER];
  if (magic === 0xcffaedfe) return ["darwin", MACH_MACHINES[head.readUInt32LE(4)] ?? OTHER];
  if (magic === 0xcafebabe) return ["darwin"]; // for several machines
  if (head.toString("latin1", 0, 2) !== "MZ") return undefined;
  const at = head.readUInt32LE(0x3c);
  if (at + 6 > head.length) return ["win32"];
  return ["win32", PE_MACHINES[head.readUInt16LE(at + 4)] ?? OTHER];
}

/** What the system was to start the file with: it is missing. */
function starterOf(head: Buffer | undefined): string {
  const [, interpreter] = /^#! *([^\s]+)/.exec(head?.toString("latin1") ?? "") ?? [];
  if (interpreter !== undefined) return `${interpreter}, which runs it`;
  return "the loader of its libraries: it is for Linux with another C library";
}

function headOf(path: string): Buffer | undefined {
  try {
    const file = openSync(path, "r");
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      return head.subarray(0, readSync(file, head, 0, HEAD_BYTES, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
