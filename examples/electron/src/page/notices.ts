/** Shows notices: failures, warnings, the end of the worker. */
import type { Notice } from "transcription-worker-client";
import type { Failure } from "../api.js";
import { byId, el } from "./dom.js";

const TITLES: Partial<Record<Failure["kind"], string>> = {
  audio_not_found: "The recording does not exist",
  audio_not_readable: "The recording cannot be read",
  audio_empty: "The recording is empty",
  audio_invalid: "The recording cannot be decoded",
  audio_no_stream: "This file has no sound",
  cancelled: "Cancelled",
  disk_full: "The disk is full",
  engine_crashed: "The engine crashed",
  engine_unavailable: "A part of the worker is missing",
  export_exists: "The file already exists",
  export_failed: "The transcript could not be saved",
  hub_unreachable: "The model hub cannot be reached",
  language_unsupported: "This language is not supported",
  model_does_not_fit: "The model needs more memory",
  model_download_failed: "The model could not be downloaded",
  model_gated: "The model’s authors require that you accept their terms",
  model_invalid: "The model is damaged",
  model_not_cached: "The model is not on this machine",
  microphone: "The microphone cannot be used",
  model_not_found: "The model does not exist",
  out_of_memory: "Memory ran out",
  refused: "This is not possible now",
  token_invalid: "The hub rejected the token",
  token_missing: "The model hub needs a token",
  worker_ended: "The worker ended",
};

/** What the page itself can do about a failure, instead of the worker's remedy. */
export interface Action {
  label: string;
  remedy: string;
  run: () => void;
}

interface Banner {
  tone: "error" | "warning" | "info";
  kind: string;
  title: string;
  message: string;
  remedy?: string | null;
  detail?: string | null;
  action?: Action | undefined;
}

const place = byId("notices");

export function clearNotices(): void {
  place.replaceChildren();
}

export function showFailure(failure: Failure, action?: Action): void {
  const tone = failure.kind === "cancelled" ? "info" : "error";
  const title = TITLES[failure.kind] ?? "Something went wrong";
  const remedy = action?.remedy ?? failure.remedy;
  show({ ...failure, tone, title, remedy, action });
}

/** A warning of a result; for a failed stage, with the remedy of its error. */
export function showWarning({ kind, message, error }: Notice): void {
  const { data } = (error ?? {}) as { data?: { remedy?: string } };
  const title = kind === "stage_failed" ? "A part of the job failed" : "Please note";
  show({ tone: "warning", kind, title, message, remedy: data?.remedy ?? null });
}

/** The browser knows fewer formats than the worker. */
export function showUnplayable(): void {
  const message = "The player does not know its format. You can still transcribe it.";
  once({ tone: "info", kind: "playing", title: "This recording cannot be played", message });
}

/** Where what was recorded is kept. */
export function showKept(path: string): void {
  once({ tone: "info", kind: "recorded", title: "The recording is kept", message: path });
}

/** Two speakers were given the same name. */
export function showMerged(one: string, other: string, undo: () => void): void {
  const action = { label: "Keep them apart", remedy: "Or was that not what you meant?", run: undo };
  const message = `${one} has the name of another speaker, so all that both say is ${other}’s now.`;
  const title = "Two speakers are one";
  once({ tone: "info", kind: "merged", title, message, remedy: action.remedy, action });
}

/** Something else was corrected since: to undo would not be to part the speakers. */
export function clearMerged(): void {
  place.querySelector("[data-kind=merged]")?.remove();
}

/** The microphone went away while it was recorded. */
export function showLost(): void {
  const message = "The microphone was disconnected. What you said before is transcribed.";
  once({ tone: "warning", kind: "microphone", title: "The recording has ended", message });
}

/** Says that the worker ended and, in the same place, that it has restarted. */
export function showWorker(title: string, message: string, tone: Banner["tone"]): void {
  once({ tone, kind: "worker", title, message });
}

function once(banner: Banner): void {
  place.querySelector(`[data-kind=${banner.kind}]`)?.remove();
  show(banner);
}

function show({ tone, kind, title, message, remedy, detail, action }: Banner): void {
  const dismiss = el("button", { type: "button", class: "dismiss", "aria-label": "Dismiss" }, "×");
  const run = action && el("button", { type: "button", class: "primary" }, action.label);
  const banner = el(
    "div",
    { class: `notice ${tone}`, role: tone === "error" ? "alert" : "status", "data-kind": kind },
    el(
      "div",
      {},
      el("strong", {}, title),
      el("p", { class: "message" }, message),
      remedy && el("p", { class: "remedy" }, remedy),
      detail && el("details", {}, el("summary", {}, "Details"), el("pre", {}, detail)),
      run,
    ),
    dismiss,
  );
  dismiss.addEventListener("click", () => banner.remove());
  run?.addEventListener("click", () => {
    banner.remove();
    action?.run();
  });
  for (const other of place.children) if (other.textContent === banner.textContent) other.remove();
  place.append(banner);
}
