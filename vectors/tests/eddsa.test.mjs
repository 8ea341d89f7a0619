// The npm packages check what Rust signs and hashes; the Rust tests check the committed vectors, which these packages made.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { eddsa, eddsaVectors, hash, littleEndian, poseidonVectors, R, text } from "../make.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What `xtask vectors` makes of a seed. */
function fromRust(seed) {
    const folder = mkdtempSync(join(tmpdir(), "crowdfold-vectors-"));
    try {
        const file = join(folder, "vectors.json");
        execFileSync(join(ROOT, "scripts/xtask"), ["vectors", file, "--seed", String(seed)], {
            stdio: ["ignore", "pipe", "pipe"],
        });
        return JSON.parse(readFileSync(file, "utf8"));
    } finally {
        rmSync(folder, { recursive: true });
    }
}

const seed = randomInt(2 ** 47);

describe(`keys, signatures and hashes that Rust makes of the seed ${seed}`, () => {
    let made;
    before(() => {
        made = fromRust(seed);
        assert.equal(made.signers.length, 6);
        assert.deepEqual(made.poseidon.map(({ inputs }) => inputs.length), Array.from({ length: 16 }, (_, i) => i + 1));
    });

    test("the public keys belong to the secrets", () => {
        for (const { secret, publicKey, packedPublicKey } of made.signers) {
            const expected = eddsa.derivePublicKey(Buffer.from(secret, "hex"));
            assert.deepEqual(publicKey.map(BigInt), expected, `seed ${seed}`);
            assert.equal(packedPublicKey, littleEndian(eddsa.packPublicKey(expected)).toString("hex"), `seed ${seed}`);
        }
    });

    test("the signatures verify, and are those that zk-kit makes", () => {
        for (const { secret, publicKey, signatures } of made.signers) {
            const key = publicKey.map(BigInt);
            assert.equal(signatures.length, 5);
            for (const { message: hexMessage, r8, s, packed } of signatures) {
                const message = BigInt(hexMessage);
                const signature = { R8: r8.map(BigInt), S: BigInt(s) };
                assert.ok(eddsa.verifySignature(message, signature, key), `seed ${seed}`);
                assert.ok(!eddsa.verifySignature((message + 1n) % R, signature, key), `seed ${seed}`);
                assert.deepEqual(eddsa.signMessage(Buffer.from(secret, "hex"), message), signature, `seed ${seed}`);
                assert.equal(packed, eddsa.packSignature(signature).toString("hex"), `seed ${seed}`);
            }
        }
    });

    test("the Poseidon hashes are those of poseidon-lite", () => {
        for (const { inputs, hash: output } of made.poseidon) {
            assert.equal(BigInt(output), hash(inputs.map(BigInt)), `seed ${seed}`);
        }
    });
});

test("the committed vectors are those that make.mjs writes", () => {
    const committed = (name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
    assert.equal(committed("eddsa.json"), text(eddsaVectors()));
    assert.equal(committed("poseidon.json"), text(poseidonVectors()));
});
