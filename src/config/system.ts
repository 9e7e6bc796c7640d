/**
 * A system is one kind of thing that can be configured: a table of fields and the rules between
 * them. Its command, its section of the file and its part of the reference page come from here.
 */
import type { z } from "zod";

/** The fields of a system by their key in the file; the flag is the same name with hyphens. */
export type Fields = Readonly<Record<string, z.ZodType>>;

/** Fields and the rules between them. */
export interface Shape {
  readonly fields: Fields;
  /** Groups of fields of which exactly one must be given. */
  readonly oneOf: readonly (readonly string[])[];
  /** Groups of fields of which at least one must be given. */
  readonly someOf?: readonly (readonly string[])[];
  /** Groups of fields of which no two may be given. */
  readonly notBoth?: readonly (readonly string[])[];
  /** Fields that mean something only beside another one: field -> the others that will do. */
  readonly needs: Readonly<Record<string, readonly string[]>>;
  /**
   * Numbers that must be less than another one: field -> the other. A default that is not becomes
   * half of the other.
   */
  readonly below: Readonly<Record<string, string>>;
  /** Own endpoints, one of which must be of the family of each of others, or unspecified. */
  readonly oneFamily?: Readonly<Record<string, readonly string[]>>;
}

export interface System extends Shape {
  /** The command's name, and the role in a status. */
  readonly role: string;
  /** The key of the file under which named instances stand; a system without one is not in it. */
  readonly section?: string;
}

/** Exactly one of the keys `K` of `T`, so that a test of one decides the other. */
export type ExactlyOne<T, K extends keyof T> = {
  [P in K]: { readonly [Q in P]-?: Exclude<T[P], undefined> } & {
    readonly [Q in Exclude<K, P>]?: undefined;
  };
}[K];
