/** Lets the user change a text where it stands: Enter takes it, and Escape leaves it as it was. */
type Field = HTMLInputElement | HTMLTextAreaElement;

interface Change {
  /** Why the text cannot be taken, or "". */
  problem?: (text: string) => string;
  /** Resolves to whether it was taken; if not, the field stays. */
  take: (text: string) => Promise<boolean>;
  /** It is over; the keyboard is to be where it was. */
  after?: () => void;
}

/** Puts the field in the place of what shows the text, and the keyboard into the field. */
export function changeInPlace(
  shown: HTMLElement,
  field: Field,
  { problem = () => "", take, after = () => {} }: Change,
): void {
  const before = field.value;
  let busy = false;

  function leave(): void {
    busy = true; // the field loses the keyboard by that, too
    field.replaceWith(shown);
  }

  /** To lose the keyboard is to be done, so that nothing that was typed is lost. */
  async function finish(byKey: boolean): Promise<void> {
    if (busy) return;
    const text = field.value.trim();
    const wrong = problem(text);
    field.setCustomValidity(wrong);
    if (wrong && byKey) return void field.reportValidity();
    const changed = !wrong && text !== before.trim();
    busy = true;
    if (changed && !(await take(text))) {
      busy = false;
      return;
    }
    leave();
    if (byKey) after();
  }

  function press(event: Event): void {
    const { key, isComposing } = event as KeyboardEvent;
    if (isComposing) return;
    if (key === "Escape") {
      event.preventDefault();
      leave();
      after();
    } else if (key === "Enter") {
      event.preventDefault();
      void finish(true);
    }
  }

  field.addEventListener("keydown", press);
  field.addEventListener("input", () => field.setCustomValidity(""));
  field.addEventListener("blur", () => void finish(false));
  shown.replaceWith(field);
  field.focus();
}
