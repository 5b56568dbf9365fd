/**
 * Stands in for Electron under Node: IPC between main process and preload that clones what goes
 * over, dialogs answered beforehand, and in place of the page somebody who uses it:
 *
 * opens the recordings that RECORDINGS names, one after another; cancels the last of them at its
 * first segment; prints what came; closes the window.
 */
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";

interface Bridge {
  transcribe(): Promise<string>;
  cancel(): void;
  onProgress(listener: (progress: { kind: string }) => void): void;
  onSegments(listener: (segments: { text: string }[]) => void): void;
}
type Handler = (event: object, ...args: unknown[]) => unknown;

const recordings = JSON.parse(process.env["RECORDINGS"] ?? "[]") as string[];
const left = [...recordings];
const handlers = new Map<string, Handler>();
const inPage = new EventEmitter();
const sender = {
  isDestroyed: () => false,
  send: (channel: string, value: unknown) => inPage.emit(channel, {}, structuredClone(value)),
};
let bridge: Bridge;

class App extends EventEmitter {
  readonly isPackaged = false;
  getPath = () => process.cwd();
  whenReady = () => Promise.resolve();
  quit = () => void this.emit("will-quit", {});
}

class Main extends EventEmitter {
  handle = (channel: string, handler: Handler) => void handlers.set(channel, handler);
}

export const app = new App();
export const ipcMain = new Main();
export const dialog = {
  showOpenDialog: () => Promise.resolve({ filePaths: left.splice(0, 1) }),
};
export const contextBridge = {
  exposeInMainWorld: (_name: string, exposed: Bridge) => void (bridge = exposed),
};
export const ipcRenderer = {
  invoke: async (channel: string, ...args: unknown[]) =>
    structuredClone(await handlers.get(channel)!({ sender }, ...args)),
  send: (channel: string) => ipcMain.emit(channel, { sender }),
  on: (channel: string, listener: Handler) => inPage.on(channel, listener),
};

export class BrowserWindow {
  constructor(private readonly options: { webPreferences: { preload: string } }) {}

  async loadFile(page: string): Promise<void> {
    readFileSync(page);
    require(this.options.webPreferences.preload);
    const seen = { messages: [] as string[], texts: [] as string[][], kinds: [] as string[][] };
    bridge.onProgress(({ kind }) => seen.kinds.at(-1)!.push(kind));
    bridge.onSegments((segments) => {
      seen.texts.at(-1)!.push(...segments.map(({ text }) => text));
      if (seen.texts.length === recordings.length) bridge.cancel();
    });
    for (const _ of recordings) {
      seen.texts.push([]);
      seen.kinds.push([]);
      seen.messages.push(await bridge.transcribe());
    }
    console.log(JSON.stringify(seen));
    app.emit("window-all-closed");
  }
}
