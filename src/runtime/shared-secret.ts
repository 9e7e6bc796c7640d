/** The secret that a group of relays has in a file, and the keys that are derived from it. */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfigError, OsError } from "../core/errors.ts";
import type { SharedSecret } from "../protocols/amt/secrets.ts";

/** Octets that a secret must have at least: as many as a key. */
const SECRET_LEAST = 16;

/** Separates the keys from all other uses of the same secret. */
const PURPOSE = "culvert AMT Response MAC, epoch ";

/**
 * Reads the secret at `path`: any octets, but for one line end behind them. Keys are the first 128
 * bits of HMAC-SHA-256 over the epoch's number; the clock is the host's. Throws OsError or
 * ConfigError; `setting` is what the operator wrote the path under.
 */
export function readSharedSecret(path: string, setting: string): SharedSecret {
  const secret = withoutLineEnd(readOctets(path));
  if (secret.length < SECRET_LEAST)
    throw new ConfigError(setting, `a file of ${SECRET_LEAST} octets or more`, secret.length);
  return {
    key: (epoch) => {
      const digest = createHmac("sha256", secret).update(`${PURPOSE}${epoch}`).digest();
      return Uint32Array.from({ length: 4 }, (_, word) => digest.readUInt32LE(4 * word));
    },
    wallClock: () => Date.now(),
  };
}

function readOctets(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OsError("open", code ?? "EIO", path, "name a file that can be read");
  }
}

function withoutLineEnd(octets: Uint8Array): Uint8Array {
  return octets.at(-1) === 0x0a ? octets.subarray(0, octets.at(-2) === 0x0d ? -2 : -1) : octets;
}
