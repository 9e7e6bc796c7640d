import assert from "node:assert/strict";
import { OsError } from "../../src/core/errors.ts";
import { watchLinks } from "../../src/os/link-events.ts";
import { addAddress, readLink, setUp } from "../../src/os/link.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";

enterNamespace();

kernelTest("links that come, change and go are told of, and addresses", async () => {
  let heard!: () => void;
  let news = Promise.resolve();
  const expect = (): void => {
    news = new Promise((resolve) => (heard = resolve));
  };
  expect();
  const events = watchLinks(() => heard());
  try {
    for (const change of [
      () => makeVeth("cv-ev-0", "cv-ev-1"),
      () => addAddress("cv-ev-0", "192.0.2.1", 24),
      () => addAddress("cv-ev-0", "fe80::1:1", 64),
      () => setUp("cv-ev-1", false),
      () => removeLink("cv-ev-0"),
    ]) {
      expect();
      change();
      await news;
    }
  } finally {
    events.close();
    events.close();
  }
});

kernelTest("who could not read the news is called again, and the process goes on", async () => {
  let calls = 0;
  let read!: () => void;
  const news = new Promise<void>((resolve) => (read = resolve));
  const events = watchLinks(() => {
    if (++calls === 1) throw new OsError("socket", "EMFILE", "rtnetlink");
    read();
  });
  try {
    makeVeth("cv-ev-0", "cv-ev-1");
    await news;
    assert.ok(calls >= 2);
  } finally {
    events.close();
    removeLink("cv-ev-0");
  }
});

kernelTest("a link without a carrier is up, but does not run", () => {
  makeVeth("cv-ev-0", "cv-ev-1");
  try {
    const facts = (): boolean[] => {
      const { up, running } = readLink("cv-ev-0");
      return [up, running];
    };
    assert.deepEqual(facts(), [true, true]);
    setUp("cv-ev-1", false);
    assert.deepEqual(facts(), [true, false]);
    setUp("cv-ev-0", false);
    assert.deepEqual(facts(), [false, false]);
  } finally {
    removeLink("cv-ev-0");
  }
});
