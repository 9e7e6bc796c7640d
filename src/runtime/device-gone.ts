/** What to tell of lanes that failed over a device, which cannot know why it no longer answers. */
import { CulvertError, OsError } from "../core/errors.ts";
import { findLink } from "../os/link.ts";

/** The device of a service is not there any more. */
class DeviceGoneError extends CulvertError {
  readonly code = "CULVERT_DEVICE_GONE";
}

/** Why the lanes failed that had this device, if any: what they say, unless it is gone. */
export function failureOf(reason: Error, device: string | undefined): Error {
  if (device === undefined || isThere(device)) return reason;
  return new DeviceGoneError(`device ${device} is gone: expected that nobody deletes it`);
}

/** What cannot be found out counts as there. */
function isThere(device: string): boolean {
  try {
    return findLink(device) !== undefined;
  } catch (error) {
    if (error instanceof OsError) return true;
    throw error;
  }
}
