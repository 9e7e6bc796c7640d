/** `culvert relay`, `gateway` and `receive`: one service, configured by flags. */
import type { Command } from "commander";
import { check } from "../config/check.ts";
import { common } from "../config/common.ts";
import { SYSTEMS, type Instance, type Role } from "../config/systems.ts";
import type { ExitCode } from "./exit.ts";
import { addFlags, readChecked, readFlags } from "./flags.ts";
import type { Parts } from "./parts.ts";
import { serve } from "./serve.ts";

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  const role = command.name() as Role;
  addFlags(command, SYSTEMS[role]);
  addFlags(command, common);
  command.action(async () => {
    const config = readChecked(command, SYSTEMS[role], (raw, spell) => check(role, raw, spell));
    const { control } = readFlags(command, common) as { control?: string };
    const instance = { role, name: role, config } as Instance;
    done(await serve(role, [instance], await parts.starters(), { controlPath: control }));
  });
}
