/** Shows the health report: what works on this machine, what does not, and what to do. */
import type { Finding, ProbeResult } from "transcription-worker-client";
import type { Api } from "../api.js";
import { byId, bytes, el } from "./dom.js";

const PARTS: Record<string, string> = {
  worker: "Worker",
  fasterWhisper: "Recognition",
  whisperx: "WhisperX",
  alignment: "Word times",
  pyannote: "Speakers",
};
const STATES = { ready: "Ready", degraded: "Degraded", failed: "Failed", missing: "Not included" };

export async function showHealth(api: Api): Promise<void> {
  const dialog = byId<HTMLDialogElement>("health");
  const report = byId("report");
  report.replaceChildren(
    el("progress", { "aria-label": "Checking" }),
    el("p", { class: "quiet" }, "Testing each part of the worker. This can take a minute."),
  );
  dialog.showModal();
  const outcome = await api.probe();
  if (outcome.ok) return report.replaceChildren(...rows(outcome.value));
  const { message, remedy } = outcome.failure;
  report.replaceChildren(
    el("p", { class: "message" }, message),
    el("p", { class: "remedy" }, remedy ?? "Try again."),
  );
}

function rows({ healthMetrics, findings, environments, devices, ...rest }: ProbeResult): Node[] {
  const { overallScore: score, errors, warnings } = healthMetrics;
  const grade = errors ? "error" : warnings ? "warning" : "good";
  const ring = el("div", { class: `score ${grade}` }, el("strong", {}, String(score)));
  ring.style.setProperty("--score", `${score}%`);
  ring.append(el("span", { class: "visually-hidden" }, " of 100"));
  const verdict =
    errors + warnings === 0
      ? "Everything works."
      : `${count(errors, "error")}, ${count(warnings, "warning")}.`;
  const { cpu, memory, accelerators } = devices;
  const { cache, workerVersion, flavour } = rest;
  const { models } = cache;
  const facts = [
    ["Processor", `${cpu.model ?? cpu.architecture}, ${cpu.usableThreads} threads`],
    ["Memory", memory.total === null ? "" : bytes(memory.total)],
    ["Graphics", accelerators.map(({ name, kind }) => name ?? kind).join(", ") || "None"],
    ["Models", models.length ? `${models.length}, ${bytes(cache.size)}` : "None yet"],
    ["Worker", `${workerVersion} (${flavour})`],
  ] as const;
  return [
    el("div", { class: "verdict" }, ring, el("p", {}, verdict)),
    el(
      "ul",
      { class: "parts" },
      ...Object.entries(environments).map(([name, { status }]) =>
        el("li", { class: status }, PARTS[name] ?? name, el("span", {}, STATES[status])),
      ),
    ),
    el("ul", { class: "findings" }, ...findings.map(finding)),
    el("dl", {}, ...facts.flatMap(([what, is]) => [el("dt", {}, what), el("dd", {}, is)])),
  ];
}

function finding({ severity, message, remedy, detail }: Finding): HTMLLIElement {
  return el(
    "li",
    { class: severity },
    el("span", { class: "severity" }, severity),
    el("p", { class: "message" }, message),
    el("p", { class: "remedy" }, remedy),
    detail && el("details", {}, el("summary", {}, "Details"), el("pre", {}, detail)),
  );
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
