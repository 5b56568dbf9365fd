/** Creates elements. Text stays text: nothing here interprets markup. */
type Child = Node | string | null | false | undefined;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

export function byId<E extends HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page lacks #${id}.`);
  return element as E;
}

/** Whether keys are a text there. */
export function isTyping(target: EventTarget | null): boolean {
  const field = target instanceof Element && target.closest("input, textarea, select");
  return Boolean(field) && !(field as HTMLElement).matches("[type=checkbox]");
}

/** `1:02:03`, or `2:03` below an hour. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [whole / 3600, (whole % 3600) / 60, whole % 60].map(Math.floor);
  const tail = String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** `1.5 GB`, `484 MB`. */
export function bytes(count: number): string {
  const exponent = Math.min(3, Math.max(1, Math.floor(Math.log10(Math.max(count, 1)) / 3)));
  const unit = ["kB", "MB", "GB"][exponent - 1]!;
  const value = count / 1000 ** exponent;
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}
