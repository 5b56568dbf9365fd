/** What the user is told beside the work: failures, warnings, the worker's end. */
import type { Notice } from "transcription-worker-client";
import type { Failure } from "../api.js";
import { byId, el } from "./dom.js";

const TITLES: Partial<Record<Failure["kind"], string>> = {
  audio_not_found: "The recording is not there",
  audio_not_readable: "The recording cannot be read",
  audio_empty: "The recording is empty",
  audio_invalid: "This is no recording that can be decoded",
  audio_no_stream: "There is no sound in this file",
  cancelled: "Cancelled",
  disk_full: "The disk is full",
  engine_crashed: "The engine crashed",
  engine_unavailable: "A part of the worker is missing",
  export_exists: "The file is there already",
  export_failed: "The transcript could not be saved",
  hub_unreachable: "The model hub cannot be reached",
  language_unsupported: "This language is not supported",
  model_does_not_fit: "The model needs more memory",
  model_download_failed: "The model could not be downloaded",
  model_gated: "The model’s makers ask you to accept their terms",
  model_invalid: "The model is damaged",
  model_not_cached: "The model is not on this machine",
  model_not_found: "There is no such model",
  out_of_memory: "There is not enough memory",
  refused: "That cannot be done now",
  token_invalid: "The hub refuses the token",
  token_missing: "The model hub wants a token",
  worker_ended: "The worker ended",
};

/** What the page itself can do about a failure, in place of the worker's remedy. */
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

/** A warning of a result; a stage that failed brings the remedy of its error. */
export function showWarning({ kind, message, error }: Notice): void {
  const { data } = (error ?? {}) as { data?: { remedy?: string } };
  const title = kind === "stage_failed" ? "A part of the job failed" : "Please note";
  show({ tone: "warning", kind, title, message, remedy: data?.remedy ?? null });
}

/** The browser knows fewer formats than the worker does. */
export function showUnplayable(): void {
  const message = "Its format cannot be played here. It can be transcribed all the same.";
  once({ tone: "info", kind: "playing", title: "This recording cannot be heard", message });
}

/** Says that the worker ended; and, in the same place, that it runs again. */
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
  place.append(banner);
}
