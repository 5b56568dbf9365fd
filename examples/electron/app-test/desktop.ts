/** The keyboard of the display, for what lies outside the page: native dialogs, closing a window. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { until } from "./until.js";

const run = promisify(execFile);

async function xdotool(...args: string[]): Promise<string> {
  return (await run("xdotool", args, { timeout: 60_000 })).stdout.trim();
}

/** Answers a native dialog, of GTK, by a path. */
export async function answer(title: "Open File" | "Save File", path: string): Promise<void> {
  await toFront(title);
  await press("ctrl+l"); // it then takes a path
  await press("ctrl+a");
  await xdotool("type", "--delay", "20", path);
  // The button's own key, until it is heard: while the dialog proposes names, it takes all keys.
  const key = title === "Open File" ? "alt+o" : "alt+s";
  await until(
    `${title} takes ${path}`,
    async () => {
      if ((await find(title)) !== "") await press(key);
      return (await find(title)) === "";
    },
    { everyMs: 500 },
  );
}

/** Waits for the window whose title begins like this, and gives it the keyboard. */
export async function toFront(title: string): Promise<void> {
  await until(`a window ${title}`, async () => (await find(title)) !== "");
  const id = await find(title);
  await until(`${title} has the keyboard`, async () => {
    await xdotool("windowactivate", id);
    return (await xdotool("getactivewindow").catch(() => "")) === id;
  });
}

export async function press(keys: string): Promise<void> {
  await xdotool("key", "--delay", "50", keys);
}

/** Waits until no window's title begins like this. */
export async function gone(title: string): Promise<void> {
  await until(`no window ${title}`, async () => (await find(title)) === "");
}

/** The window, or nothing. */
async function find(title: string): Promise<string> {
  return xdotool("search", "--onlyvisible", "--name", `^${title}`).catch(() => "");
}
