import type { Effort, Result } from "../result.ts";
export function runFanout(_effort: Effort, _progress: (line: string) => void): Promise<Result> {
  return Promise.reject(new Error("no"));
}
