/** A suite for the tests of the harness; the query of its address says what is wrong with it. */
import type { Case, Suite } from "../../bench/harness.ts";
import { sideBySide } from "../../bench/result.ts";

const fault = new URL(import.meta.url).search.slice(1);

export const suite: Suite = {
  subjects: ["one", "two"],
  cases: (subject) => (fault === "empty" ? [] : [add(subject)]),
  ratios: (figures) => sideBySide(figures, "one", "two"),
  goals: [{ case: "add", subject: "one", goal: { atMost: 1e9 } }],
};

function add(subject: string): Case {
  let runs = 0;
  return {
    name: "add",
    unit: "ns/operation",
    operations: 100,
    run() {
      runs++;
      if (fault === "throws" && runs > 1) throw new Error("a case that throws");
      if (fault === "forgets" && runs > 1) return runs;
      let sum = fault === "differs" && subject === "two" ? 1 : 0;
      for (let i = 0; i < 100; i++) sum += i;
      return sum;
    },
  };
}
