import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TranscriptionWorker, type SpawnOptions } from "transcription-worker-client";

export const PACKAGE = join(__dirname, "..");
export const ROOT = join(PACKAGE, "../..");
export const MODEL = join(ROOT, "tests/models/whisper");
/** A minute and a half of speech, in three windows: it can be interrupted after the first. */
export const DEMO = join(ROOT, "tests/recordings/demo.flac");
export const SHORT = join(ROOT, "tests/recordings/en-01.flac");

const words = process.env["TEST_WORKER"]?.split(" ");
/** The real worker; TEST_WORKER names another command for it. */
export const WORKER: { command: string } & Pick<SpawnOptions, "args" | "cwd"> = {
  command: words?.[0] ?? join(ROOT, ".venv/bin/python"),
  args: words?.slice(1) ?? ["-m", "worker"],
  cwd: ROOT,
};

const opened: TranscriptionWorker[] = [];
const directories: string[] = [];
after(async () => {
  await Promise.all(opened.map((worker) => worker.close({ graceMs: 2000, terminateMs: 200 })));
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

const DECODE = `
import sys, av
resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
with av.open(sys.argv[1]) as file:
    for frame in [*file.decode(audio=0), None]:
        for each in resampler.resample(frame):
            sys.stdout.buffer.write(each.to_ndarray().tobytes())
`;

/** The samples of a recording, 16000 per second. */
export function samplesOf(recording: string): Int16Array {
  const python = join(ROOT, ".venv/bin/python");
  const bytes = execFileSync(python, ["-c", DECODE, recording], { maxBuffer: 2 ** 30 });
  return new Int16Array(Uint8Array.from(bytes).buffer);
}

/** Starts a worker that is closed after the tests. */
export async function start(options: Partial<SpawnOptions> = {}): Promise<TranscriptionWorker> {
  const worker = await TranscriptionWorker.spawn({ ...WORKER, ...options });
  opened.push(worker);
  return worker;
}

/** Starts the program that answers as badly as `behaviour` says. */
export function startFake(
  behaviour: string,
  options: Partial<SpawnOptions> = {},
): Promise<TranscriptionWorker> {
  return start({
    command: process.execPath,
    args: [join(__dirname, "fake.js"), behaviour],
    ...options,
  });
}

/** Ends the worker's process by SIGKILL, the first time that it is called. */
export function killer(worker: TranscriptionWorker): () => void {
  let pid = worker.processId;
  return () => {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
    pid = undefined;
  };
}

/** A directory that is removed after the tests. */
export function temporary(name = "client"): string {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  directories.push(directory);
  return directory;
}

/** Writes an executable file, in folders that are made for it. */
export function executable(path: string, content: string | Buffer): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, 0o755);
  return path;
}

/** Writes a program that is the real worker, wherever it is called. */
export function workerAt(path: string): string {
  const words = [WORKER.command, ...(WORKER.args ?? [])].map((word) => `'${word}'`).join(" ");
  return executable(path, `#!/bin/sh\nPYTHONPATH='${ROOT}' exec ${words} "$@"\n`);
}

/** A process and all of its descendants, from /proc. */
export function tree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => tree(Number(child)))];
}

/** Which of the processes still run after `ms`. */
export async function left(pids: number[], ms: number): Promise<number[]> {
  const deadline = Date.now() + ms;
  let running = pids;
  for (;;) {
    running = running.filter((pid) => existsSync(`/proc/${pid}`) && !/\) [ZX] /.test(stat(pid)));
    if (running.length === 0 || Date.now() > deadline) return running;
    await sleep(10);
  }
}

function stat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return ") X ";
  }
}
