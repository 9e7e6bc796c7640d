/** What a guest has at its start: a shell, a few tools, the modules, and the first program. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ToolError, run } from "../../src/lab/tool.ts";

/** What a guest writes when its shell listens; what boots it may have said something before. */
export const READY = "\n# ready";
/** What a guest writes behind a command's output; the exit status follows on the line. */
export const EXIT = "\n# exit ";

/** A guest powers itself off after this many seconds, should nobody be left to do it. */
const LIFETIME = 1_200;

const escaped = (text: string) => text.replaceAll("\n", "\\n");

/**
 * The first program: loads the modules in their order, then runs what the second serial port says, a
 * command a line. `ip` is spelled out, for busybox has one of its own.
 */
const INIT = `#!/bin/busybox sh
export PATH=/bin:/sbin
/bin/busybox mkdir -p /proc /sys /dev /run /var/run /tmp /sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 1 > /proc/sys/kernel/printk
while read -r module; do insmod "/modules/$module" || echo "insmod $module failed"; done < /modules/order
(sleep ${LIFETIME}; poweroff -f) &
ip() { /sbin/ip "$@"; }
ip link set lo up
stty -F /dev/ttyS1 raw -echo
exec < /dev/ttyS1 > /dev/ttyS1 2>&1
printf "${escaped(READY)}\\n"
while read -r command; do
  ( eval "$command" ) < /dev/null
  printf "${escaped(EXIT)}$?\\n"
done
poweroff -f
`;

export interface Contents {
  /** busybox, linked statically. */
  readonly busybox: string;
  /** Programs of this host, by the name they get in the guest's /sbin; their libraries come along. */
  readonly tools: Readonly<Record<string, string>>;
  /** Kernel modules, each after those it needs. */
  readonly modules: readonly string[];
}

/** Writes a compressed initramfs to `file`; `folder` is for its making and does not exist yet. */
export function makeInitramfs(file: string, folder: string, contents: Contents): void {
  put(contents.busybox, path.join(folder, "bin/busybox"));
  for (const [name, tool] of Object.entries(contents.tools)) {
    put(tool, path.join(folder, "sbin", name));
    for (const library of libraries(tool)) put(library, path.join(folder, library));
  }
  for (const module of contents.modules)
    put(module, path.join(folder, "modules", path.basename(module)));
  const order = contents.modules.map((module) => `${path.basename(module)}\n`);
  writeFileSync(path.join(folder, "modules/order"), order.join(""));
  writeFileSync(path.join(folder, "init"), INIT);
  chmodSync(path.join(folder, "init"), 0o755);
  const pack = 'cd "$1" && find . | cpio --quiet -o -H newc | gzip -1 > "$2"';
  run("sh", ["-c", pack, "pack", folder, file]);
}

function put(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(realpathSync(from), to);
}

/** The shared libraries of a program, by the paths under which it looks for them. */
function libraries(program: string): string[] {
  const listed = spawnSync("ldd", [program], { encoding: "utf8" });
  if (listed.status !== 0) throw new ToolError(`ldd ${program}`, listed.stderr);
  return Array.from(listed.stdout.matchAll(/(?:^\s*|=> )(\/\S+) \(/gm), (match) => match[1]!);
}
