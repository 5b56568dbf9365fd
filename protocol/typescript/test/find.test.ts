import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import {
  findWorker,
  TranscriptionWorker,
  WorkerEndedError,
  WorkerNotFoundError,
} from "transcription-worker-client";
import { inUserFolder } from "../dist/find.js";
import { foreignTo, whyNot } from "../dist/program.js";
import { executable, start, temporary, workerAt } from "./support.js";

const NAME = "transcription-worker";
const SCRIPT = "#!/bin/sh\n";

/** A machine with a worker in each place: the folders, in the order in which they are looked at. */
function machine() {
  const root = temporary("find");
  const at = (place: string): string => executable(join(root, place), SCRIPT);
  const named = at("named/worker");
  const beside = at(`resources/${NAME}/${NAME}`);
  const user = at(`data/${NAME}/${NAME}`);
  const onPath = at(`bin/${NAME}`);
  return { root, named, beside, user, onPath, resourcesPath: join(root, "resources") };
}

/** What `find` throws. */
function refusal(find: () => unknown): WorkerNotFoundError {
  try {
    find();
  } catch (error) {
    assert(error instanceof WorkerNotFoundError);
    return error;
  }
  return assert.fail("a worker was found");
}

test("each place is looked at in its turn", () => {
  const { root, named, beside, user, onPath, resourcesPath } = machine();
  const PATH = [join(root, "nowhere"), join(root, "bin")].join(delimiter);
  const XDG_DATA_HOME = join(root, "data");
  const env = { TRANSCRIPTION_WORKER: named, XDG_DATA_HOME, PATH };
  const platform = "linux";
  assert.equal(findWorker({ env, resourcesPath, platform }), named);
  const unnamed = { ...env, TRANSCRIPTION_WORKER: "" };
  assert.equal(findWorker({ env: unnamed, resourcesPath, platform }), beside);
  assert.equal(findWorker({ env: unnamed, platform }), user);
  assert.equal(findWorker({ env: { PATH }, home: root, platform }), onPath);
});

test("the user's folder is the system's", () => {
  const folder = (platform: string, env = {}) => inUserFolder({ env, home: "/home/a", platform });
  assert.equal(folder("linux"), `/home/a/.local/share/${NAME}/${NAME}`);
  assert.equal(folder("linux", { XDG_DATA_HOME: "/data" }), `/data/${NAME}/${NAME}`);
  assert.equal(folder("linux", { XDG_DATA_HOME: "data" }), `/home/a/.local/share/${NAME}/${NAME}`);
  assert.equal(folder("darwin"), `/home/a/Library/Application Support/${NAME}/${NAME}`);
  const local = "C:\\Users\\a\\AppData\\Local";
  assert.equal(folder("win32", { LocalAppData: local }), `${local}\\${NAME}\\${NAME}.exe`);
  const windows = inUserFolder({ env: {}, home: "C:\\Users\\a", platform: "win32" });
  assert.equal(windows, `${local}\\${NAME}\\${NAME}.exe`);
});

test("TRANSCRIPTION_WORKER may be a name on the PATH", () => {
  const { root, onPath } = machine();
  const env = { TRANSCRIPTION_WORKER: NAME, PATH: join(root, "bin") };
  assert.equal(findWorker({ env }), onPath);
  const { message } = refusal(() => findWorker({ env: { ...env, PATH: "/nowhere" } }));
  assert.match(message, /^TRANSCRIPTION_WORKER is transcription-worker, which is not on the PATH\./);
});

test("no other worker runs in place of one that is named and gone", () => {
  const { root, resourcesPath } = machine();
  const gone = join(root, "gone");
  const env = { TRANSCRIPTION_WORKER: gone, PATH: join(root, "bin") };
  const { message, places } = refusal(() => findWorker({ env, resourcesPath }));
  assert.match(message, /^TRANSCRIPTION_WORKER is .*gone, which does not exist\./);
  assert.deepEqual(places, [gone]);
});

test("folders of the PATH that depend on the working directory are not searched", () => {
  const { root } = machine();
  const before = process.cwd();
  process.chdir(join(root, "bin"));
  try {
    refusal(() => findWorker({ env: { PATH: ["", ".", "../bin"].join(delimiter) }, home: root }));
  } finally {
    process.chdir(before);
  }
});

test("without a worker, the error names the places and says how to get one", async () => {
  const root = temporary("find");
  const beside = join(root, "resources", NAME, NAME);
  const user = join(root, "data", NAME, NAME);
  const locked = join(root, "bin", NAME);
  mkdirSync(user, { recursive: true });
  mkdirSync(join(root, "bin"));
  writeFileSync(locked, SCRIPT);
  const env = { XDG_DATA_HOME: join(root, "data"), PATH: join(root, "bin") };
  const resourcesPath = join(root, "resources");
  const error = refusal(() => findWorker({ env, resourcesPath, platform: "linux" }));
  assert.deepEqual(error.places, [
    "TRANSCRIPTION_WORKER (not set)",
    beside,
    `${user} (a folder)`,
    "transcription-worker on the PATH",
    `${locked} (not executable)`,
  ]);
  for (const way of ["make bundle", user, "pip", "PATH", "TRANSCRIPTION_WORKER", "`command`"]) {
    assert(error.remedy.includes(way), way);
  }
  for (const each of [...error.places, error.remedy]) assert(error.message.includes(each));
  const spawning = TranscriptionWorker.spawn({ env: { XDG_DATA_HOME: root, PATH: "/nowhere" } });
  await assert.rejects(spawning, { name: "WorkerNotFoundError" });
});

test("a worker that is found is started", async () => {
  const program = workerAt(join(temporary("find"), NAME, NAME));
  const worker = await start({
    command: undefined,
    args: undefined,
    env: { ...process.env, TRANSCRIPTION_WORKER: program },
  });
  assert.deepEqual(await worker.ping(), {});
});

const [X64, ARM64, RISC_V] = [62, 183, 243] as const;
const MACHINE = process.arch === "arm64" ? ARM64 : X64;

/** The beginning of a Linux program, which a loader is to start. */
function elf(machine: number, loader = "/lib/ld.so"): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(3, 16); // may be anywhere in memory
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeUInt32LE(64, 32); // where its one segment is described: the name of the loader
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(3, 64);
  bytes.writeUInt32LE(128, 72);
  bytes.writeUInt32LE(loader.length + 1, 96);
  bytes.write(loader, 128, "latin1");
  return bytes;
}

/** What the client says of a program that it cannot start. */
async function saidOf(command: string, cwd?: string): Promise<string> {
  const error: unknown = await TranscriptionWorker.spawn({ command, cwd }).then(
    () => assert.fail("it started"),
    (error: unknown) => error,
  );
  assert(error instanceof WorkerEndedError, String(error));
  return error.message;
}

test("what is there but does not start is told plainly", async () => {
  const root = temporary("refused");
  const at = (name: string, content: string | Buffer = SCRIPT) => executable(join(root, name), content);
  const locked = at("locked");
  chmodSync(locked, 0o644);
  assert.match(await saidOf(locked), /locked may not be executed\. Run: chmod \+x '.*locked'$/);
  assert.match(await saidOf(root), /is a folder: name the program in it\.$/);
  assert.match(await saidOf(join(root, "gone")), /there is no file .*gone\.$/);
  assert.match(await saidOf(join(locked, "within")), /there is no file .*within\.$/);
  assert.match(await saidOf(at("ok"), join(root, "gone")), /working directory .*gone does not exist\.$/);
  assert.match(await saidOf(at("empty", "")), /is empty: it was not copied whole\.$/);
  const lost = at("lost", "#!/opt/python3.99/bin/python -E\n");
  assert.match(await saidOf(lost), /lost is there, but not \/opt\/python3\.99\/bin\/python, which/);
  assert.match(await saidOf(at("musl", elf(MACHINE, "/lib/ld-none.so.1"))), /with another C library\.$/);
});

test("a program of another machine is told plainly", async () => {
  const foreign = executable(join(temporary("foreign"), "worker"), elf(RISC_V));
  const here = `this process runs on Linux on ${process.arch}`;
  const said = await saidOf(foreign);
  assert(said.includes(`worker is a program for Linux on another machine, and ${here}.`), said);
});

test("programs are known by their heads", () => {
  const head = (magic: string, write: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.alloc(128);
    bytes.write(magic, "latin1");
    write(bytes);
    return bytes;
  };
  const mach = head("\xcf\xfa\xed\xfe", (bytes) => bytes.writeUInt32LE(0x0100000c, 4));
  const universal = head("\xca\xfe\xba\xbe", () => {});
  const windows = head("MZ", (bytes) => {
    bytes.writeUInt32LE(64, 0x3c);
    bytes.writeUInt16LE(0x8664, 68);
  });
  const here = "and this process runs on";
  assert.equal(foreignTo(elf(X64), "linux", "x64"), undefined);
  assert.equal(foreignTo(elf(X64), "linux", "arm64"), `Linux on x64, ${here} Linux on arm64`);
  assert.equal(foreignTo(mach, "darwin", "arm64"), undefined);
  assert.equal(foreignTo(mach, "darwin", "x64"), `macOS on arm64, ${here} macOS on x64`);
  assert.equal(foreignTo(universal, "darwin", "x64"), undefined);
  assert.equal(foreignTo(windows, "win32", "x64"), undefined);
  assert.equal(foreignTo(windows, "linux", "x64"), `Windows on x64, ${here} Linux on x64`);
  assert.equal(foreignTo(Buffer.from(SCRIPT), "linux", "x64"), undefined);
});

test("a program that runs here is blamed for nothing", () => {
  for (const exitCode of [0, 1, 2, 126, 127]) {
    assert.equal(whyNot(process.execPath, { exitCode }), undefined);
  }
});
