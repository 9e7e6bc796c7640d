// Records by their number, in one block that doubles when it must. A record moves when its slab
// grows: keep its number, not its address.
import { allocate, blockShift, release } from "./heap";

const SLAB_BLOCK: usize = 0; // u32
const SLAB_SHIFT: usize = 4; // u32: the block has 2^shift octets

/** An empty slab. */
export function slabInit(slab: usize): void {
  store<u32>(slab, 0, SLAB_BLOCK);
  store<u32>(slab, 0, SLAB_SHIFT);
}

/** Record `index` of 2^`shift` octets; the slab must have room for it. */
export function slabAt(slab: usize, index: u32, shift: u32): usize {
  return <usize>load<u32>(slab, SLAB_BLOCK) + ((<usize>index) << shift);
}

/** True when the slab has room for record `index`. */
export function slabHas(slab: usize, index: u32, shift: u32): bool {
  if (!load<u32>(slab, SLAB_BLOCK)) return false;
  return (<u64>index + 1) << shift <= (<u64>1) << load<u32>(slab, SLAB_SHIFT);
}

/** Makes room for record `index`; new records are zero. False without memory. */
export function slabReach(slab: usize, index: u32, shift: u32): bool {
  if (slabHas(slab, index, shift)) return true;
  const wanted = blockShift((index + 1) << shift);
  const larger = allocate(wanted);
  if (!larger) return false;
  const block = <usize>load<u32>(slab, SLAB_BLOCK);
  if (block) {
    const old = load<u32>(slab, SLAB_SHIFT);
    memory.copy(larger, block, (<usize>1) << old);
    release(block, old);
  }
  store<u32>(slab, <u32>larger, SLAB_BLOCK);
  store<u32>(slab, wanted, SLAB_SHIFT);
  return true;
}
