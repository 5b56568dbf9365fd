/** Stands in for Electron: the page, and its requests to the session, over HTTP on the loopback. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { CHANNELS, type News } from "../src/api.js";
import { serving } from "../src/serve.js";
import { Session, type Surroundings } from "../src/session.js";

export const ROOT = join(__dirname, "../../..");

const words = process.env["TEST_WORKER"]?.split(" ");
/** The real worker; TEST_WORKER names another command for it. */
export const WORKER: Surroundings["worker"] = {
  command: words?.[0] ?? join(ROOT, ".venv/bin/python"),
  args: words?.slice(1) ?? ["-m", "worker"],
  cwd: ROOT,
};

export interface Bridge {
  session: Session;
  url: string;
  tell(news: News): void;
  close(): Promise<void>;
}

/** Where a file that was dropped on the page would lie. */
type Find = (name: string) => string;

export async function bridge(
  surroundings: Partial<Surroundings> & { find?: Find } = {},
): Promise<Bridge> {
  const folder = mkdtempSync(join(tmpdir(), "transcriber-bridge-"));
  const listeners = new Set<ServerResponse>();
  const tell = (news: News): void => {
    for (const listener of listeners) listener.write(`data: ${JSON.stringify(news)}\n\n`);
    surroundings.tell?.(news);
  };
  const session = new Session({
    worker: WORKER,
    chooseRecording: async () => null,
    chooseTarget: async () => null,
    recordings: "/nowhere",
    recent: join(folder, "recent.json"),
    ...surroundings,
    tell,
  });
  const serve = serving(join(__dirname, "../dist/page"), (id) => session.pathOf(id));
  const preload = readFileSync(join(__dirname, "preload.js"));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, "http://localhost");
    const channel = CHANNELS.find((known) => pathname === `/ask/${known}`);
    if (channel && request.method === "POST") {
      let args = JSON.parse(String(await body(request))) as unknown[];
      const { find } = surroundings;
      if (channel === "add" && find) args = args.map((path) => find(String(path).slice(9)));
      response.end(JSON.stringify(await session.handle(channel, args)));
    } else if (pathname === "/samples" && request.method === "POST") {
      const bytes = await body(request);
      session.hear(new Float32Array(new Uint8Array(bytes).buffer));
      response.end();
    } else if (pathname === "/news") {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
    } else if (pathname === "/preload.js") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(preload);
    } else {
      await pass(await serve(asRequest(request)), response, pathname === "/");
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    session,
    tell,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await session.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function asRequest({ url, headers }: IncomingMessage): Request {
  const { range } = headers;
  return new Request(new URL(url!, "http://localhost"), range ? { headers: { range } } : {});
}

/** Electron runs the preload script before the page's own; here the page has to name it. */
async function pass(from: Response, to: ServerResponse, page: boolean): Promise<void> {
  to.writeHead(from.status, Object.fromEntries(from.headers));
  if (page) {
    const own = '<script src="page.js"';
    to.end((await from.text()).replace(own, `<script src="preload.js" defer></script>${own}`));
  } else if (from.body) {
    const bytes = Readable.fromWeb(from.body as ReadableStream);
    to.on("close", () => bytes.destroy());
    bytes.on("error", () => to.destroy()).pipe(to);
  } else to.end();
}

async function body(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
