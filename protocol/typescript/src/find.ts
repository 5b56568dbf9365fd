/**
 * Finds the worker's program for an application that does not name it: the first that is there, of
 * what the environment names, what came with the application, what lies in the user's folder, and
 * what is on the PATH. A program that is there but cannot run is not passed over, so that no other
 * one runs unnoticed in its stead: its start fails, and says why.
 */
import { homedir } from "node:os";
import { posix, win32 } from "node:path";
import { bundledWorker } from "./electron.js";
import { WorkerNotFoundError } from "./errors.js";
import { isName, look, mayRun } from "./paths.js";

const NAME = "transcription-worker";
const VARIABLE = "TRANSCRIPTION_WORKER";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where to look; by default as this process would. */
export interface FindOptions {
  /** Default: `process.env`. */
  env?: Environment | undefined;
  /** Default: Electron's `process.resourcesPath`. */
  resourcesPath?: string | undefined;
  /** Default: the user's. */
  home?: string | undefined;
  /** Default: `process.platform`. */
  platform?: string | undefined;
}

/**
 * The path of the worker's program. It is what `TRANSCRIPTION_WORKER` names, or else the first that is
 * there: among the `extraResources` of a packaged Electron application, in the user's folder, or on the
 * PATH. Throws `WorkerNotFoundError`.
 */
export function findWorker(options: FindOptions = {}): string {
  const { env = process.env, platform = process.platform } = options;
  const named = variable(env, VARIABLE, platform);
  if (named) return findNamed(named, env, platform);
  const places = [`${VARIABLE} (not set)`];
  for (const path of [besideApplication(options), inUserFolder(options)]) {
    if (path === undefined) continue;
    const found = look(path);
    if (found?.isFile()) return path;
    places.push(found ? `${path} (a folder)` : path);
  }
  const onPath = searchPath(NAME, env, platform);
  if (onPath.found !== undefined) return onPath.found;
  places.push(`${NAME} on the PATH`, ...onPath.refused);
  const folder = inUserFolder(options);
  throw new WorkerNotFoundError(
    `There is no ${NAME}.`,
    places,
    "Build one with `make bundle` in the worker's repository, and copy its folder " +
      `dist/lite/${NAME} so that the program is ${folder}. Or install one with pip, so that it is ` +
      `on the PATH. Or name the program in ${VARIABLE}, or as \`command\`.`,
  );
}

/** The program that TRANSCRIPTION_WORKER means by a path, or by a name on the PATH. */
function findNamed(named: string, env: Environment, platform: string): string {
  const refuse = (why: string, places: string[]): never => {
    const remedy = `Set ${VARIABLE} to the path of the program, or remove it.`;
    throw new WorkerNotFoundError(`${VARIABLE} is ${named}, which ${why}.`, places, remedy);
  };
  if (isName(named, platform)) {
    const { found, refused } = searchPath(named, env, platform);
    return found ?? refuse("is not on the PATH", [`${named} on the PATH`, ...refused]);
  }
  const paths = spellings(rules(platform).resolve(named), platform);
  return paths.find(look) ?? refuse("does not exist", paths);
}

/** Undefined outside Electron. */
function besideApplication(options: FindOptions): string | undefined {
  const {
    resourcesPath = (process as { resourcesPath?: string }).resourcesPath,
    platform = process.platform,
  } = options;
  return resourcesPath === undefined ? undefined : bundledWorker({ resourcesPath, platform });
}

/** The program in the folder of the user's programs and data, which takes a bundle as it is. */
export function inUserFolder(options: FindOptions = {}): string {
  const { env = process.env, home = homedir(), platform = process.platform } = options;
  if (platform === "win32") {
    const data = variable(env, "LOCALAPPDATA", platform) || win32.join(home, "AppData", "Local");
    return win32.join(data, NAME, `${NAME}.exe`);
  }
  if (platform === "darwin") {
    return posix.join(home, "Library", "Application Support", NAME, NAME);
  }
  const given = env["XDG_DATA_HOME"] ?? "";
  // The specification of these folders has relative ones ignored.
  const data = posix.isAbsolute(given) ? given : posix.join(home, ".local", "share");
  return posix.join(data, NAME, NAME);
}

/** The first program of a name on the PATH; without one, the files of that name that may not run. */
function searchPath(
  name: string,
  env: Environment,
  platform: string,
): { found?: string; refused: string[] } {
  const { delimiter, isAbsolute, join } = rules(platform);
  const refused: string[] = [];
  for (const folder of (variable(env, "PATH", platform) ?? "").split(delimiter)) {
    // Others depend on where the application happens to be started.
    if (!isAbsolute(folder)) continue;
    for (const path of spellings(join(folder, name), platform)) {
      if (!look(path)?.isFile()) continue;
      if (mayRun(path)) return { found: path, refused };
      refused.push(`${path} (not executable)`);
    }
  }
  return { refused };
}

/** A path as it may be written: Windows lets one leave out `.exe`. Node starts no `.cmd`. */
function spellings(path: string, platform: string): string[] {
  return platform === "win32" && !/\.(exe|com)$/i.test(path) ? [`${path}.exe`] : [path];
}

function rules(platform: string): typeof posix {
  return platform === "win32" ? win32 : posix;
}

/** A variable's value; on Windows, its name is in any case. */
function variable(env: Environment, name: string, platform: string): string | undefined {
  if (platform !== "win32" || env[name] !== undefined) return env[name];
  const spelled = Object.keys(env).find((each) => each.toUpperCase() === name);
  return spelled === undefined ? undefined : env[spelled];
}
