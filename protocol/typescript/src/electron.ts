import { posix, win32 } from "node:path";

const NAME = "transcription-worker";

/**
 * The path of a file that electron-builder has unpacked (`asarUnpack`), because a program inside
 * `app.asar` cannot be started. Other paths are returned unchanged.
 */
export function unpackedPath(path: string): string {
  return path.replace(/([\\/]app\.asar)(?=[\\/])/, "$1.unpacked");
}

/** Where a packaged application keeps its worker. */
export interface BundledWorker {
  /** Default: Electron's `process.resourcesPath`. */
  resourcesPath?: string;
  /** Folder of the frozen worker in it, as in `extraResources`. Default: `transcription-worker`. */
  directory?: string;
  /** Default: `process.platform`. */
  platform?: string;
}

/** The worker's executable among the `extraResources` of a packaged Electron application. */
export function bundledWorker({
  resourcesPath = (process as { resourcesPath?: string }).resourcesPath,
  directory = NAME,
  platform = process.platform,
}: BundledWorker = {}): string {
  if (resourcesPath === undefined) {
    throw new Error("Outside Electron there is no process.resourcesPath: set resourcesPath.");
  }
  return platform === "win32"
    ? win32.join(resourcesPath, directory, `${NAME}.exe`)
    : posix.join(resourcesPath, directory, NAME);
}
