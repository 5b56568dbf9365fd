/** Reads what the user wants of a job. */
import type { Failure, JobOptions, Models } from "../api.js";
import { byId, el } from "./dom.js";
import type { Action } from "./notices.js";

const field = (id: string): HTMLInputElement => byId<HTMLInputElement>(id);

export function options(): JobOptions {
  const text = (id: string): string | null => field(id).value.trim() || null;
  return {
    model: field("model").value.trim(),
    language: byId<HTMLSelectElement>("language").value || null,
    align: field("align").checked,
    alignmentModel: text("alignment-model"),
    diarize: field("diarize").checked,
    diarizationModel: text("diarization-model"),
    speakers: text("speakers") === null ? null : Number(text("speakers")),
    download: field("download").checked,
  };
}

/** Offers the languages that any model knows. */
export function offerLanguages({ models }: Models): void {
  const names = new Intl.DisplayNames("en", { type: "language" });
  const codes = new Set(models.flatMap(({ languages }) => languages));
  const languages = [...codes].map((code) => ({ code, name: names.of(code) ?? code }));
  languages.sort((a, b) => a.name.localeCompare(b.name));
  byId("language").append(
    ...languages.map(({ code, name }) => el("option", { value: code }, name)),
  );
}

/** The way out of a missing model: to download it. */
export function downloading(
  { kind }: Failure,
  { download }: JobOptions,
  again: () => Promise<void>,
): Action | undefined {
  if (kind !== "model_not_cached" || download) return undefined;
  const run = (): void => {
    field("download").checked = true;
    void again();
  };
  const remedy = "Download it once: it then stays on this machine.";
  return { label: "Download and try again", remedy, run };
}
