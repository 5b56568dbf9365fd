import { posix, win32 } from "node:path";

const NAME = "transcription-worker";

/**
 * The path of a file that electron-builder has unpacked (`asarUnpack`): no program can be started
 * from within `app.asar`. Other paths stay as they are.
 */
export function unpackedPath(path: string): string {
  return path.replace(/([\\/]app\.asar)(?=[\\/])/, "$1.unpacked");
}

/** Where a packaged application has its worker. */
export interface BundledWorker {
  /** Electron's `process.resourcesPath` unless given. */
  resourcesPath?: string;
  /** The directory of the frozen worker there, as in `extraResources`. `transcription-worker`. */
  directory?: string;
  /** `process.platform` unless given. */
  platform?: string;
}

/** The worker's executable among the `extraResources` of a packaged Electron application. */
export function bundledWorker({
  resourcesPath = (process as { resourcesPath?: string }).resourcesPath,
  directory = NAME,
  platform = process.platform,
}: BundledWorker = {}): string {
  if (resourcesPath === undefined) {
    throw new Error("There is no process.resourcesPath outside of Electron: give resourcesPath.");
  }
  return platform === "win32"
    ? win32.join(resourcesPath, directory, `${NAME}.exe`)
    : posix.join(resourcesPath, directory, NAME);
}
