// Measures steps in Chromium for `./just bench web`; see driver.mjs.

import { drive, races } from "./driver.mjs";

await drive("web", "bench/pkg/", races);
