// What the command `refusals` must bring back, whatever the host.

import assert from "node:assert/strict";

// The kind of error for each attempt. Damaged parameters may be noticed in several ways.
const KINDS = {
  "digest of other parameters": ["ParameterDigest"],
  "digest that is none": ["Argument"],
  "unknown program": ["UnknownProgram"],
  "program of other parameters": ["Parameters"],
  "no parameters": ["Decode"],
  "parameters of another type": ["Argument"],
  "parameters cut short": ["Decode"],
  "context that is none": ["Argument"],
  "context without a contract": ["Argument"],
  "negative chain id": ["Argument"],
  "chain id beyond 64 bits": ["Argument"],
  "prover of the wrong length": ["Argument"],
  "start of the wrong length": ["Length"],
  "start not below the modulus": ["Decode"],
  "proof of no steps": ["Empty"],
  "short input": ["Length"],
  "long input": ["Limit"],
  "huge input": ["Limit"],
  "input not below the modulus": ["Decode"],
  "input of another type": ["Argument"],
  "short input after a step": ["Length"],
  "input after the end": ["Finished"],
  "second proof": ["Finished"],
};
const DAMAGED = ["Decode", "Limit", "Parameters", "ParameterFile", "ParameterDigest"];

export function checkRefusals({ thrown, count, length }) {
  for (const [name, error] of Object.entries(thrown)) {
    const kinds = name.startsWith("parameters damaged") ? DAMAGED : KINDS[name];
    assert.ok(error, `${name} was accepted`);
    assert.ok(error.isError && error.name === "CrowdfoldError" && error.message, `${name}: ${JSON.stringify(error)}`);
    assert.ok(kinds?.includes(error.kind), `${name}: ${JSON.stringify(error)}`);
  }
  for (const name of Object.keys(KINDS)) assert.ok(name in thrown, `${name} was not tried`);
  // The segment was still good after each refusal.
  assert.equal(count, 2);
  assert.ok(length > 100_000);
}
