/** Which threads of the process run first where there are fewer cores than threads that want one. */
import { constants, getPriority, setPriority } from "node:os";

/**
 * Steps of nice by which a lane stands before other threads: where it and the control thread both want
 * all of a core, it gets three quarters. Twice as many would leave the control thread a tenth.
 */
const STEPS = 5;

/**
 * Lets the calling thread run before the process's others: before the control thread, and before V8's
 * own, of which several collect garbage at a time. (Linux has a nice value for each thread.) Returns
 * false, and changes nothing, without the right to that: CAP_SYS_NICE, or RLIMIT_NICE.
 */
export function takePrecedence(): boolean {
  const { PRIORITY_HIGHEST } = constants.priority;
  try {
    setPriority(0, Math.max(PRIORITY_HIGHEST, getPriority(0) - STEPS));
    return true;
  } catch {
    return false;
  }
}

/** Whether `takePrecedence` would do it: the calling thread is as before after that. */
export function mayTakePrecedence(): boolean {
  const before = getPriority(0);
  const may = takePrecedence();
  if (may) setPriority(0, before);
  return may;
}
