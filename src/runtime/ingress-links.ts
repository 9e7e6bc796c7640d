/**
 * The interfaces of a relay's ingress as they come and go: one that vanishes and is made anew, as a
 * VLAN or a driver that is loaded again, has another index, to which nothing of the old one is bound.
 */
import { OsError } from "../core/errors.ts";
import { watchLinks, type LinkEvents } from "../os/link-events.ts";
import { findLink, type Link } from "../os/link.ts";

export interface IngressLinksOptions {
  /** The interfaces as they are now; the place of each is its number. */
  readonly links: readonly Link[];
  /** Interface `i` is there again, as another one. Throws OsError when it cannot be used. */
  moved(i: number, link: Link): void;
  /** Takes a line for the operator. */
  warn(text: string): void;
}

interface Place {
  readonly name: string;
  /** The one in use. */
  index: number;
  state: "up" | "down" | "gone" | "unusable";
}

export class IngressLinks {
  readonly #options: IngressLinksOptions;
  readonly #places: readonly Place[];
  readonly #events: LinkEvents;

  /** Throws OsError. */
  constructor(options: IngressLinksOptions) {
    this.#options = options;
    this.#places = options.links.map(({ name, index, up }) => ({
      name,
      index,
      state: up ? "up" : "down",
    }));
    this.#events = watchLinks(() => this.#places.forEach((place, i) => this.#look(place, i)));
  }

  /** Ends the watch. Safe to call twice. */
  close(): void {
    this.#events.close();
  }

  #look(place: Place, i: number): void {
    const link = findLink(place.name);
    const told = place.state;
    if (link === undefined) place.state = "gone";
    else if (link.index !== place.index) this.#move(place, i, link);
    else if (told !== "unusable") place.state = link.up ? "up" : "down";
    if (place.state === told || place.state === "unusable") return;
    this.#options.warn(`ingress ${place.name} is ${TIDINGS[place.state]}`);
  }

  #move(place: Place, i: number, link: Link): void {
    place.index = link.index;
    try {
      this.#options.moved(i, link);
      place.state = link.up ? "up" : "down";
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      place.state = "unusable";
      this.#options.warn(`ingress ${place.name} is back, but: ${error.message}; restart the relay`);
    }
  }
}

const TIDINGS = {
  up: "up again",
  down: "down; nothing comes from it until it is up",
  gone: "gone; it is taken up again when it is back",
};
