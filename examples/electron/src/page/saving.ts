/** Saves the transcript in a format that the user chooses. */
import type { Api, Format, Saved } from "../api.js";
import { FORMATS } from "../checks.js";
import { byId, el } from "./dom.js";
import { showFailure, showWarning } from "./notices.js";
import { say } from "./state.js";

const NAMES: Record<Format, string> = {
  srt: "Subtitles (srt)",
  vtt: "Web subtitles (vtt)",
  ass: "Styled subtitles (ass)",
  txt: "Text (txt)",
  html: "Web page (html)",
  json: "WhisperX (json)",
  csv: "Table (csv)",
  tsv: "Table (tsv)",
  lrc: "Lyrics (lrc)",
  rttm: "Speakers (rttm)",
  textgrid: "Praat (TextGrid)",
};

/** `ready` resolves once the transcript is as it is to be saved. */
export function offerSaving(
  api: Api,
  ready: () => Promise<void>,
  saved: (file: Saved) => void,
): void {
  const format = byId<HTMLSelectElement>("format");
  format.append(...FORMATS.map((each) => el("option", { value: each }, NAMES[each])));
  byId("export").addEventListener("submit", (event) => {
    event.preventDefault();
    void save();
  });

  async function save(): Promise<void> {
    await ready();
    const outcome = await api.save(format.value as Format);
    if (!outcome.ok) return showFailure(outcome.failure);
    if (!outcome.value) return;
    const { path, warnings } = outcome.value;
    for (const warning of warnings) if (warning.level !== "info") showWarning(warning);
    say(`Saved ${path}`);
    byId("summary").textContent = `Saved ${path}`;
    saved(outcome.value);
  }
}
