/**
 * `<crowdfold-widget url payout threads duty>`: lets a visitor lend this page some of the processor. It says what it
 * does before it does anything, needs no headers of the page, loads nothing from third parties, and sets no cookies.
 *
 * A page with a Content-Security-Policy allows the package's origin for `script-src`, `worker-src` and `connect-src`,
 * `blob:` for `worker-src`, `'wasm-unsafe-eval'` for `script-src`, and the coordinator (http and ws) for `connect-src`.
 *
 * @module
 */

import { createProver } from "./index.js";
import type { CrowdfoldProver, ProverState } from "./index.js";

const STYLE = `
  :host { display: block; max-width: 26rem; font: 0.95rem/1.45 system-ui, sans-serif; color: CanvasText; }
  :host([hidden]) { display: none; }
  section {
    border: 1px solid color-mix(in srgb, CanvasText 25%, Canvas);
    border-radius: 0.6rem;
    padding: 1rem;
    background: Canvas;
  }
  h2 { font-size: 1.05rem; margin: 0 0 0.4rem; }
  p { margin: 0 0 0.7rem; }
  dl { display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.8rem; margin: 0.8rem 0 0; }
  dt { opacity: 0.75; }
  dd { margin: 0; font-variant-numeric: tabular-nums; }
  button {
    font: inherit;
    padding: 0.45rem 1.1rem;
    border-radius: 0.4rem;
    border: 1px solid ButtonBorder;
    background: ButtonFace;
    color: ButtonText;
    cursor: pointer;
  }
  button:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
  [hidden] { display: none; }
`;

/** What is shown. */
interface Parts {
  readonly consent: HTMLElement;
  readonly button: HTMLButtonElement;
  readonly state: HTMLElement;
  readonly numbers: HTMLElement;
  readonly speed: HTMLElement;
  readonly steps: HTMLElement;
  readonly accepted: HTMLElement;
}

/** The element. Its prover is `prover`, once the visitor has started it; its events pass through the element. */
export class CrowdfoldWidget extends HTMLElement {
  static readonly observedAttributes = ["url", "payout", "threads", "duty"];

  #prover: CrowdfoldProver | undefined;
  #parts: Parts | undefined;
  #trouble = "";

  /** The prover that the visitor has started. */
  get prover(): CrowdfoldProver | undefined {
    return this.#prover;
  }

  connectedCallback(): void {
    this.#parts ??= this.#build();
    this.#show();
  }

  disconnectedCallback(): void {
    // One that is only moved within its page is back by then.
    queueMicrotask(() => this.isConnected || this.#leave());
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === "url" || name === "payout") this.#leave();
    else this.#change();
    this.#show();
  }

  #build(): Parts {
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const heading = make("h2", "Lend some computing power");
    const consent = make("p");
    const button = make("button");
    button.type = "button";
    button.addEventListener("click", () => this.#press());
    const state = make("p");
    state.setAttribute("role", "status");
    const [speed, steps, accepted] = [make("dd"), make("dd"), make("dd")];
    const numbers = make("dl");
    numbers.append(make("dt", "Speed"), speed);
    numbers.append(make("dt", "Steps computed"), steps);
    numbers.append(make("dt", "Proofs accepted"), accepted);
    const section = make("section");
    heading.id = "title";
    section.setAttribute("aria-labelledby", "title");
    section.append(heading, consent, state, button, numbers);
    root.append(section);
    return { consent, button, state, numbers, speed, steps, accepted };
  }

  #number(name: string): number | undefined {
    const text = this.getAttribute(name);
    return text === null ? undefined : Number(text);
  }

  /** What the attributes say, as far as they say anything. */
  #options() {
    const [threads, duty] = [this.#number("threads"), this.#number("duty")];
    return { ...(threads !== undefined && { threads }), ...(duty !== undefined && { duty }) };
  }

  #press(): void {
    const phase = this.#prover?.state.phase ?? "off";
    this.#trouble = "";
    if (phase === "running" || phase === "starting") return this.#prover?.pause();
    try {
      this.#prover ??= this.#make();
    } catch (error) {
      this.#trouble = `This page has set the widget up wrongly: ${(error as Error).message}`;
      return this.#show();
    }
    // What goes wrong comes as an event, too.
    this.#prover.start().catch(() => {});
  }

  #make(): CrowdfoldProver {
    const [url, payout] = [this.getAttribute("url") ?? "", this.getAttribute("payout") ?? ""];
    const prover = createProver({ url, payout, ...this.#options() });
    prover.addEventListener("state", () => this.#show());
    prover.addEventListener("failed", ({ detail }) => this.#say(detail.text));
    prover.addEventListener("trouble", ({ detail }) => detail.kind === "refused" && this.#say(detail.text));
    return prover;
  }

  #say(text: string): void {
    this.#trouble = text;
    this.#show();
  }

  #change(): void {
    try {
      this.#prover?.set(this.#options());
    } catch (error) {
      this.#say(`This page has set the widget up wrongly: ${(error as Error).message}`);
    }
  }

  #leave(): void {
    void this.#prover?.stop();
    this.#prover = undefined;
  }

  #show(): void {
    const parts = this.#parts;
    if (!parts) return;
    const state = this.#prover?.state;
    const phase = state?.phase ?? "off";
    const isOn = phase === "running" || phase === "starting";
    parts.consent.textContent = this.#consent();
    parts.consent.hidden = isOn;
    parts.button.textContent = isOn ? "Pause" : phase === "paused" ? "Go on" : "Start";
    parts.button.disabled = phase === "stopping";
    write(parts.state, this.#trouble || (state ? inWords(state) : "Nothing runs until you press Start."));
    parts.numbers.hidden = !state;
    if (!state) return;
    const { rowsPerSecond, totals } = state.sum;
    write(parts.speed, rowsPerSecond > 0 ? `${rounded(rowsPerSecond)} rows a second` : "none yet");
    write(parts.steps, totals.foldedSteps.toLocaleString());
    write(parts.accepted, totals.accepted.toLocaleString());
  }

  #consent(): string {
    const { threads, duty = 1 } = this.#options();
    const part = duty < 1 ? ` for about ${Math.round(duty * 100)} % of the time` : "";
    const who = hostOf(this.getAttribute("url")) ?? "the coordinator that this page names";
    return (
      `If you start, your browser computes for ${who} with ${coresInWords(threads)}${part}. That takes electricity ` +
      "and some of your data volume, and the machine may become warm. It reads nothing of yours; it keeps a key and " +
      "unfinished work in this browser. What it earns goes to an address that this page has chosen. You can pause at " +
      "any time."
    );
  }
}

function make<K extends keyof HTMLElementTagNameMap>(name: K, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

/** Writes only what is new, so that nothing is read aloud again. */
function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function coresInWords(threads: number | undefined): string {
  if (threads === undefined) return "most of your processor's cores";
  return threads === 1 ? "one processor core" : `${threads} processor cores`;
}

function hostOf(url: string | null): string | undefined {
  return url !== null && URL.canParse(url) ? new URL(url).host : undefined;
}

function rounded(number: number): string {
  return Number(number.toPrecision(2)).toLocaleString();
}

/** The state as a sentence. */
function inWords({ phase, isOnline, sum, failure }: ProverState): string {
  switch (phase) {
    case "off":
      return "Stopped. Nothing runs.";
    case "failed":
      return failure ?? "It can't go on.";
    case "starting":
      return "Starting.";
    case "stopping":
      return "Finishing what was begun.";
    case "paused":
      return sum.folding + sum.heldProofs > 0 ? "Paused. Handing in what was computed." : "Paused. Nothing runs.";
    case "running":
      if (!isOnline) return "No network. What was computed is kept.";
      if (sum.link !== "open") return "Connecting.";
      return sum.folding > 0 ? "Computing." : "Waiting for work.";
  }
}

if (!customElements.get("crowdfold-widget")) customElements.define("crowdfold-widget", CrowdfoldWidget);
