/** Which permissions the page gets: to hear the microphone, and no other. */
export const ORIGIN = "app://transcriber";

/** What it asks for, in Electron's words; `media` are the kinds of media. */
export interface Wish {
  permission: string;
  /** Of the page that asks. */
  url: string | undefined;
  media: readonly (string | undefined)[] | undefined;
  isMainFrame: boolean;
}

export function permitted({ permission, url, media = [], isMainFrame }: Wish): boolean {
  const sound = media.length > 0 && media.every((kind) => kind === "audio");
  return permission === "media" && sound && isMainFrame && (url ?? "").startsWith(`${ORIGIN}/`);
}
