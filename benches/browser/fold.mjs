// Measures in Chromium for `./just bench fold`; see driver.mjs.

import { drive } from "./driver.mjs";

await drive("fold", "bench/pkg/", async (task, save, { pages }) => {
  const race = async (name, options) => {
    const { times, proof } = await task("race", options);
    await save(name, proof);
    return times;
  };
  const repeat = async (options) => {
    const times = [];
    for (let i = 0; i < pages; i++) times.push(await task("firstStep", options));
    return times;
  };
  const race1 = await race("race1", { variant: "single", threads: 1 });
  const race2 = await race("race2", { variant: "threads", threads: 2 });
  const peak = await task("peak", { variant: "edge" });
  await save("peak", peak.proof);
  return {
    race1,
    race2,
    peakBytes: peak.bytes,
    firstStep: await repeat({ variant: "threads", threads: 2 }),
    firstStepSingle: await repeat({ variant: "single", threads: 1 }),
  };
});
