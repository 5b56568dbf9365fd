/** A hub on the loopback, on which the small model of the tests is Whisper tiny, and tiny.en. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { ROOT } from "./bridge.js";

const SERVE = `
import sys
from pathlib import Path
from tests.hub import serving

with serving() as hub:
    for name in ("tiny", "tiny.en"):
        hub.add(f"Systran/faster-whisper-{name}", Path("tests/models/whisper"), licence="mit")
    hub.fail("*-tiny/*/model.bin", stall_at=1_000_000)
    hub.fail("*-tiny.en/*/model.bin", rate=2_000_000)
    print(hub.url, flush=True)
    sys.stdin.read()
`;

export interface Hub {
  url: string;
  close(): void;
}

/** The first download of tiny stops after a megabyte, and the one of tiny.en takes a while. */
export async function hub(): Promise<Hub> {
  const python = join(ROOT, ".venv/bin/python");
  const child = spawn(python, ["-c", SERVE], { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  const [url] = (await once(child.stdout, "data")) as [Buffer];
  return { url: String(url).trim(), close: () => void child.stdin.end() };
}
