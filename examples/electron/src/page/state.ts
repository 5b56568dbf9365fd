/** Which state the page is in, and so what can be pressed. The style sheet shows what belongs to it. */
import { byId } from "./dom.js";

export type State = "empty" | "ready" | "running" | "recording" | "finishing" | "done";

const BUSY: ReadonlySet<State> = new Set<State>(["running", "recording", "finishing"]);

export function state(): State {
  return document.body.dataset["state"] as State;
}

/** Something is transcribed: another recording has to wait. */
export function busy(): boolean {
  return BUSY.has(state());
}

export function enter(next: State): void {
  document.body.dataset["state"] = next;
  const running = busy();
  const start = byId<HTMLButtonElement>("start");
  start.hidden = running;
  start.disabled = next === "empty";
  byId("cancel").hidden = !running || next === "recording";
  byId("cancel").toggleAttribute("disabled", false);
  byId("options").querySelector("fieldset")!.disabled = running;
  for (const id of ["open", "drop", "show-recent"]) byId(id).toggleAttribute("disabled", running);
  byId("record").toggleAttribute("disabled", running && next !== "recording");
  byId("record-label").textContent = next === "recording" ? "Stop" : "Record";
  byId("save").toggleAttribute("disabled", next !== "done");
}

/** A screen reader speaks it. */
export function say(text: string): void {
  byId("status").textContent = text;
}
