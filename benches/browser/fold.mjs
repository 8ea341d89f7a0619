// Measures in Chromium for `./just bench fold`; see driver.mjs.

import { drive, races } from "./driver.mjs";

await drive("fold", "bench/pkg/", async (task, save, { pages }) => {
  const repeat = async (options) => {
    const times = [];
    for (let i = 0; i < pages; i++) times.push(await task("firstStep", options));
    return times;
  };
  const raced = await races(task, save);
  const peak = await task("peak", { variant: "edge" });
  await save("peak", peak.proof);
  return {
    ...raced,
    peakBytes: peak.bytes,
    firstStep: await repeat({ variant: "threads", threads: 2 }),
    firstStepSingle: await repeat({ variant: "single", threads: 1 }),
  };
});
