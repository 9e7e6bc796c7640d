/**
 * Debian's own kernel with the `amt` driver: made once from Debian's packages, kept in `.cache/driver`,
 * a folder a kernel. The driver is off in Debian's configuration; its one file is built as a module.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isRunning } from "../../src/lab/lab.ts";
import { ToolError, findTool, requireTool, run } from "../../src/lab/tool.ts";
import { makeInitramfs } from "./initramfs.ts";
import { download, install, isInstalled, newest, newestKernel } from "./packages.ts";
import type { KernelPackages } from "./packages.ts";

export interface DriverImage {
  /** As `uname -r` prints it. */
  readonly release: string;
  /** The kernel's file, and that of its initramfs. */
  readonly kernel: string;
  readonly initramfs: string;
}

const CACHE = fileURLToPath(new URL("../../../.cache/driver/", import.meta.url));
const KERNEL = "vmlinuz";
const INITRAMFS = "initramfs.cpio.gz";
/** Folders in which an image is made; the process's number follows. */
const MAKING = "making-";
/** What this makes changes with these files, so that an image knows how it was made. */
const RECIPE = ["image.js", "initramfs.js"];
/** Modules of a guest beside the driver; what they need is found out. */
const MODULES = ["virtio_pci", "virtio_net", "bridge", "8021q", "l2tp_eth", "l2tp_ip", "l2tp_ip6"];

/** Why no guest can be had here; undefined if it can be tried. */
export function imageObstacle(): string | undefined {
  if (process.arch !== "x64") return `the kernel laboratory needs x86-64; this is ${process.arch}`;
  if (findTool("apt-get") === undefined) return "the kernel laboratory needs a Debian system";
  if (!existsSync("/dev/net/tun")) return "the kernel laboratory needs /dev/net/tun";
  return undefined;
}

/** The image, made if there is none yet; `say` hears of what takes long. Throws ToolError. */
export function driverImage(say: (text: string) => void): DriverImage {
  requireTool("qemu-system-x86_64", "qemu-system-x86");
  const recipe = createHash("sha256");
  for (const file of RECIPE) recipe.update(readFileSync(new URL(file, import.meta.url)));
  const suffix = `_${recipe.digest("hex").slice(0, 8)}`;
  const made = existsSync(CACHE) ? readdirSync(CACHE).sort() : [];
  const found = made.filter((name) => name.endsWith(suffix)).at(-1);
  if (found !== undefined) return imageIn(path.join(CACHE, found));
  const packages = newestKernel();
  const folder = path.join(CACHE, `${packages.release}${suffix}`);
  for (const name of made.filter(isStale)) rmSync(path.join(CACHE, name), { recursive: true });
  const work = path.join(CACHE, `${MAKING}${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    make(work, packages, say);
    const done = path.join(work, "image");
    if (existsSync(folder)) rmSync(done, { recursive: true });
    else renameSync(done, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return imageIn(folder);
}

/** True for what no recipe of today has made, unless somebody is at it. */
function isStale(name: string): boolean {
  return !name.startsWith(MAKING) || !isRunning(Number(name.slice(MAKING.length)));
}

function imageIn(folder: string): DriverImage {
  return {
    release: path.basename(folder).split("_")[0]!,
    kernel: path.join(folder, KERNEL),
    initramfs: path.join(folder, INITRAMFS),
  };
}

/** Makes `image` in `work`. */
function make(work: string, packages: KernelPackages, say: (text: string) => void): void {
  const { release, image, headers, source } = packages;
  for (const [tool, name] of [
    ["make", "make"],
    ["gcc", "gcc"],
    ["cpio", "cpio"],
    ["modprobe", "kmod"],
    ["xz", "xz-utils"],
  ] as const)
    requireTool(tool, name);
  if (!isInstalled(headers)) {
    say(`installing ${headers.name}`);
    install([headers]);
  }
  const tree = path.join(work, "tree");
  for (const wanted of [image, newest("busybox-static"), newest("smcroute")]) {
    say(`fetching ${wanted.name}`);
    run("dpkg-deb", ["-x", download(wanted, work), tree]);
  }
  say(`fetching ${source.name}`);
  const built = buildDriver(download(source, work), path.join(work, "amt"), release);
  say("building the initramfs");
  const extra = path.join(tree, "lib/modules", release, "extra");
  mkdirSync(extra, { recursive: true });
  renameSync(built, path.join(extra, "amt.ko"));
  run(findTool("depmod")!, ["-b", tree, release]);
  mkdirSync(path.join(work, "image"));
  renameSync(path.join(tree, "boot", `vmlinuz-${release}`), path.join(work, "image", KERNEL));
  makeInitramfs(path.join(work, "image", INITRAMFS), path.join(work, "root"), {
    busybox: path.join(tree, "bin/busybox"),
    tools: { ip: findTool("ip")!, smcrouted: path.join(tree, "usr/sbin/smcrouted") },
    modules: modulesFor([...MODULES, "amt"], tree, release),
  });
}

/** The driver's module, built from the packed kernel source in `sourcePackage`. */
function buildDriver(sourcePackage: string, folder: string, release: string): string {
  mkdirSync(folder);
  const file = path.join(folder, "amt.c");
  // The tarball in the package has one file of interest; reading ends with it, which dpkg-deb minds.
  const script = [
    `dpkg-deb --fsys-tarfile "$1" 2>/dev/null`,
    `tar -xO --wildcards './usr/src/linux-source-*.tar.xz' 2>/dev/null`,
    `tar -xJO --occurrence=1 --wildcards 'linux-source-*/drivers/net/amt.c' > "$2"`,
  ].join(" | ");
  run("sh", ["-c", script, "unpack", sourcePackage, file]);
  writeFileSync(path.join(folder, "Makefile"), "obj-m := amt.o\n");
  const headers = `/usr/src/linux-headers-${release}`;
  run("make", ["-s", "-C", headers, `M=${folder}`, "modules"]);
  const module = path.join(folder, "amt.ko");
  run("strip", ["--strip-debug", module]);
  return module;
}

/** The files of some modules and of all that they need, each after those that it needs. */
function modulesFor(names: readonly string[], tree: string, release: string): string[] {
  const files = names.flatMap((name) => {
    const shown = run(findTool("modprobe")!, ["-d", tree, "-S", release, "--show-depends", name]);
    return Array.from(shown.matchAll(/^insmod (\S+)/gm), (match) => match[1]!);
  });
  if (files.length === 0) throw new ToolError("modprobe", `no modules for ${names.join(", ")}`);
  return [...new Set(files)];
}
