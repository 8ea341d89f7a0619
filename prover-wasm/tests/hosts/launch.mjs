// Starts the system's Chromium. Playwright's own builds are not used: their download is not pinned by our lock file.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import { chromium } from "playwright-core";

const FLAGS = [
  // Chromium's sandbox refuses to run as root, which is what CI runs as.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function find() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const path of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new Error("no Chromium on PATH: run `./just setup`, which installs it");
}

/** Starts a browser, with more flags if given. */
export const launch = (flags = []) => chromium.launch({ executablePath: find(), args: [...FLAGS, ...flags] });
