import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { executable, left, PACKAGE, ROOT, temporary, tree, workerAt } from "./support.js";

const BIN = join(PACKAGE, "dist/bin.js");
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}\n';
const PONG = '{"jsonrpc":"2.0","id":1,"result":{}}\n';
const folder = temporary("bin");
const worker = workerAt(join(folder, "worker"));

interface Done {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the package's program to its end. */
async function runs(program: string, args: string[], input = ""): Promise<Done> {
  const env = { XDG_DATA_HOME: folder, TRANSCRIPTION_WORKER: program };
  const running = promisify(execFile)(process.execPath, [BIN, ...args], { env });
  running.child.stdin!.end(input);
  const done = await running.catch((error: Done) => error);
  return { code: 0, ...done };
}

test("the worker gets the arguments and the streams, and its exit code is passed on", async () => {
  assert.deepEqual(await runs(worker, [], PING), { code: 0, stdout: PONG, stderr: "" });
  const version = await runs(worker, ["--version"]);
  assert.match(version.stdout, /^transcription-worker \d+\.\d+\.\d+\n$/);
  const wrong = await runs(worker, ["serve", "--nonsense"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--nonsense/);
});

for (const [signal, ...ending] of [
  ["SIGTERM", 128 + 15, null],
  ["SIGINT", 128 + 2, null],
  ["SIGHUP", null, "SIGHUP"],
] as const) {
  test(`${signal} is passed on to the worker, and how it ends is passed back`, async () => {
    const env = { ...process.env, TRANSCRIPTION_WORKER: worker };
    const bin = spawn(process.execPath, [BIN], { env });
    bin.stdin.write(PING);
    await once(bin.stdout, "data");
    const processes = tree(bin.pid!);
    assert(processes.length > 1);
    bin.kill(signal);
    assert.deepEqual(await once(bin, "exit"), ending);
    assert.deepEqual(await left(processes, 2000), []);
  });
}

/** Runs a program in a terminal of its own, presses Ctrl-C, then sends a line; prints the output. */
const TERMINAL = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
output = b""
def read_until(wanted):
    global output
    while wanted not in output:
        output += os.read(terminal, 4096)
read_until(b"ready")
os.write(terminal, b"\\x03")
read_until(b"interrupted")
os.write(terminal, b"end\\n")
read_until(b"bye")
print(output.count(b"interrupted"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test("Ctrl-C in a terminal reaches the worker once", async () => {
  const script = `
process.on("SIGINT", () => console.log("interrupted"));
process.stdin.on("data", () => process.exit(console.log("bye") ?? 7));
console.log("ready");
`;
  const program = executable(join(folder, "patient"), `#!${process.execPath}\n${script}`);
  const env = { ...process.env, TRANSCRIPTION_WORKER: program };
  const python = join(ROOT, ".venv/bin/python");
  const args = ["-c", TERMINAL, process.execPath, BIN];
  const { stdout } = await promisify(execFile)(python, args, { env });
  assert.equal(stdout, "1 7\n");
});

test("without a worker, or with one that cannot run, it says so as a shell would", async () => {
  const none = await runs("", []);
  assert.deepEqual([none.code, none.stdout], [127, ""]);
  assert.match(none.stderr, /^There is no transcription-worker\. Looked at:\n.*make bundle/s);
  const locked = executable(join(folder, "locked"), "#!/bin/sh\n");
  chmodSync(locked, 0o644);
  const refused = await runs(locked, []);
  assert.equal(refused.code, 126);
  assert.match(refused.stderr, /^.*locked may not be executed\. Run: chmod \+x .*\n$/);
});
