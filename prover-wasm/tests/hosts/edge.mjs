// The worker that workerd runs: the module is imported statically, because edge functions may not compile one from bytes.
// One command for each request; the segment stays in the isolate in between.

import * as exports from "./prover.js";
import module from "./prover.wasm";
import parameters from "./prover.params";
import { commands } from "./commands.mjs";

exports.initSync({ module });
let known = {};

export default {
  async fetch(request) {
    try {
      const { command, args } = await request.json();
      if (command === "load") known = commands(exports, args, new Uint8Array(parameters));
      const result = known[command === "load" ? "about" : command](args);
      return result instanceof Uint8Array ? new Response(result) : Response.json(result);
    } catch (error) {
      return new Response(String(error?.stack ?? error), { status: 500 });
    }
  },
};
