/** The keys that work anywhere on the page, which `?` lists. */
import { byId, isTyping } from "./dom.js";
import type { Player } from "./player.js";

const MAC = navigator.platform.startsWith("Mac");
/** Seconds. */
const [STEP, SMALL_STEP] = [5, 1];

/** What has a use of its own for Space. */
const PRESSED = "button, summary, input, select, textarea";

export function listenToKeys(player: Player, undo: () => Promise<void>): void {
  const help = byId<HTMLDialogElement>("shortcuts");
  byId("show-shortcuts").addEventListener("click", () => help.showModal());
  for (const key of document.querySelectorAll(".modifier")) if (MAC) key.textContent = "⌘";

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const act = action(event);
    if (!act) return;
    event.preventDefault();
    act();
  });

  function action(event: KeyboardEvent): (() => void) | undefined {
    const { key, shiftKey, target } = event;
    const typing = isTyping(target);
    const command = MAC ? event.metaKey : event.ctrlKey;
    if (command) {
      const commands: Record<string, (() => void) | undefined> = {
        o: () => byId("open").click(),
        s: () => save(),
        z: typing || shiftKey ? undefined : () => void undo(),
      };
      return event.altKey ? undefined : commands[key.toLowerCase()];
    }
    if (typing || event.altKey || event.ctrlKey || event.metaKey) return undefined;
    if (key === "?") return () => help.showModal();
    if (!player.recording) return undefined;
    const step = shiftKey ? SMALL_STEP : STEP;
    if (key === "ArrowLeft") return () => player.step(-step);
    if (key === "ArrowRight") return () => player.step(step);
    const presses = target instanceof Element && target.closest(PRESSED);
    if (key === " " && !presses) return () => player.toggle();
    return undefined;
  }

  /** Also what is being typed. */
  function save(): void {
    if (isTyping(document.activeElement)) (document.activeElement as HTMLElement).blur();
    byId("save").click();
  }
}
