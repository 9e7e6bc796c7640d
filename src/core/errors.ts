/** Errors for people: the operator, the system's refusals, and our own mistakes. Match on `code`. */

/** The base of every error that Culvert throws. */
export abstract class CulvertError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** A configuration value that cannot be used. `path` is what the operator typed: `relay.local`. */
export class ConfigError extends CulvertError {
  readonly code = "CULVERT_CONFIG";
  constructor(
    readonly path: string,
    readonly expected: string,
    readonly got: unknown,
  ) {
    super(
      `${path}: expected ${expected}, got ${got === undefined ? "nothing" : JSON.stringify(got)}`,
    );
  }
}

/** A system call that failed. `mend` says what the operator can do about it. */
export class OsError extends CulvertError {
  readonly code = "CULVERT_OS";
  constructor(
    readonly call: string,
    /** The errno's name: "EPERM". */
    readonly errno: string,
    /** What the call was about: an interface, an address, a path. */
    readonly subject: string,
    readonly mend?: string,
  ) {
    super(`${call} ${subject}: ${errno}${mend === undefined ? "" : `; ${mend}`}`);
  }
}

/** A promise of ours that does not hold. Please report it. */
export class BugError extends CulvertError {
  readonly code = "CULVERT_BUG";
}
