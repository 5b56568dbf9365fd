/** Offers the recordings that were opened last: on the empty page, and in the menu. */
import type { Api } from "../api.js";
import { byId, el } from "./dom.js";

export class RecentList {
  constructor(
    private readonly api: Api,
    private readonly open: (id: string) => Promise<void>,
  ) {
    byId("recent-menu").addEventListener("beforetoggle", () => void this.refresh());
  }

  async refresh(): Promise<void> {
    const outcome = await this.api.recent();
    if (!outcome.ok) return;
    const recordings = outcome.value;
    byId("recent").hidden = recordings.length === 0;
    for (const place of document.querySelectorAll(".recent")) {
      if (recordings.length === 0) {
        place.replaceChildren(el("p", { class: "quiet" }, "Nothing was opened yet."));
        continue;
      }
      const clear = el("button", { type: "button", class: "link" }, "Clear");
      clear.setAttribute("aria-label", "Clear the list of recent recordings");
      clear.addEventListener("click", () => void this.#clear());
      const items = recordings.map(({ id, name, opened }) => {
        const button = el(
          "button",
          { type: "button" },
          el("span", {}, name),
          el("time", {}, day(opened)),
        );
        button.addEventListener("click", () => {
          byId("recent-menu").hidePopover();
          void this.open(id);
        });
        return el("li", {}, button);
      });
      place.replaceChildren(
        el("div", { class: "bar" }, el("h2", {}, "Recent recordings"), clear),
        el("ul", {}, ...items),
      );
    }
  }

  async #clear(): Promise<void> {
    await this.api.forget();
    await this.refresh();
  }
}

/** `today`, `yesterday` or a date. */
function day(opened: string): string {
  const date = new Date(opened);
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (date.getTime() >= midnight) return "today";
  if (date.getTime() >= midnight - 24 * 3600 * 1000) return "yesterday";
  return date.toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}
