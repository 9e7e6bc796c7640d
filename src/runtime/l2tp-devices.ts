/**
 * Devices by the thousand: the kernel looks at every device there is to find a free number, and waits
 * some 20 ms for each that is closed. So numbers are chosen here, and devices closed together.
 */
import { OsError } from "../core/errors.ts";
import type { SystemEntropy } from "../os/entropy.ts";
import { inNetns } from "../os/netns.ts";
import { closeTuns, openTun, type TunDevice, type TunOptions } from "../os/tun.ts";

/** Numbers that may turn out to be taken before the kernel is asked for one. */
const TRIES = 16;

/** A device to be closed: its descriptor, and the network namespace in which it was made. */
export interface DeviceEnd {
  readonly fd: number;
  readonly netns: string | undefined;
}

/** Finds the numbers of devices whose names end in %d. */
export class DeviceNumbers {
  /** The first number that may be free, by namespace and name. */
  readonly #next = new Map<string, number>();

  /** Opens a device in the namespace `netns`, in which the calling thread is. Throws OsError. */
  open(options: TunOptions, netns: string | undefined): TunDevice {
    const { name } = options;
    if (!name.endsWith("%d")) return openTun(options);
    const stem = name.slice(0, -2);
    const key = `${netns ?? ""}/${stem}`;
    const first = this.#next.get(key) ?? 0;
    for (let number = first; number < first + TRIES; number++) {
      try {
        const device = openTun({ ...options, name: `${stem}${number}`, exclusive: true });
        this.#next.set(key, number + 1);
        return device;
      } catch (error) {
        if (!(error instanceof OsError) || error.errno !== "EBUSY") throw error;
      }
    }
    const device = openTun(options);
    this.#next.set(key, Number(device.name.slice(stem.length)) + 1);
    return device;
  }

  /** A device of this name is closed: its number may be given again. */
  closed(name: string, netns: string | undefined): void {
    const [stem, digits] = [name.replace(/[0-9]+$/, ""), /[0-9]+$/.exec(name)?.[0]];
    const key = `${netns ?? ""}/${stem}`;
    const next = this.#next.get(key);
    if (next !== undefined && digits !== undefined && Number(digits) < next)
      this.#next.set(key, Number(digits));
  }
}

/** Closes devices, those of one namespace together. */
export function closeDevices(ends: readonly DeviceEnd[], entropy: SystemEntropy): void {
  const rooms = new Map<string | undefined, number[]>();
  for (const { fd, netns } of ends) {
    const fds = rooms.get(netns);
    if (fds) fds.push(fd);
    else rooms.set(netns, [fd]);
  }
  for (const [netns, fds] of rooms) {
    // A number that nobody else has, as far as chance can see to it.
    const group = (entropy.u32() >>> 1) | 1;
    if (netns === undefined || fds.length === 1) closeTuns(fds, group);
    else closeElsewhere(netns, fds, group);
  }
}

/** A namespace that is gone under its name may have its devices yet. */
function closeElsewhere(netns: string, fds: readonly number[], group: number): void {
  let entered = false;
  try {
    inNetns(netns, () => {
      entered = true;
      closeTuns(fds, group);
    });
  } catch (error) {
    if (entered) throw error;
    for (const fd of fds) closeTuns([fd], group);
  }
}
