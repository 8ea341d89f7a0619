// Measures in Chromium for `./just bench programs`, with the packages that users get; see driver.mjs.

import { drive } from "./driver.mjs";

await drive("programs", "pkg/", async (task, save) => {
  const prove = async (name, options) => {
    const { times, bytes, proof } = await task("prove", options);
    await save(name, proof);
    return { times, bytes };
  };
  return {
    single: await prove("single", { variant: "single", threads: 1 }),
    threads: await prove("threads", { variant: "threads", threads: 2 }),
  };
});
