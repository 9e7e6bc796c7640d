/** Octets from hexadecimal digits; white space between them does not matter. */
export function hex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("an odd digit, or none, in a vector");
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** Lower-case digits, two an octet. */
export function toHex(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("hex");
}
