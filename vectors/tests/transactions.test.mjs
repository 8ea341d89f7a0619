// A wallet that is written from docs/spec/rollup.md alone, with npm's zk-kit and poseidon-lite, against the rollup's tool: each
// accepts what the other signs.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { eddsa, hash, littleEndian } from "../make.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TOOL = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug/crowdfold-rollup");
const CHAIN_ID = 31337;
const CONTRACT = "0x00000000000000000000000000000000000000c0";

const KINDS = { transfer: 1n, withdrawal: 3n };
/** P(chain id, contract). */
const domain = hash([BigInt(CHAIN_ID), BigInt(CONTRACT)]);
const hexadecimal = (number) => `0x${number.toString(16).padStart(64, "0")}`;

/** The three words of a transaction as a file has it (section 3). */
function words({ kind, from, to = 0, nonce, fee, amount, address = "0x0" }) {
    const first =
        KINDS[kind] + (BigInt(from) << 3n) + (BigInt(to) << 27n) + (BigInt(nonce) << 51n) + (BigInt(fee) << 83n);
    return [first, BigInt(amount), BigInt(address)];
}

/** What is signed: P(domain, words). */
const message = (transaction) => hash([domain, ...words(transaction)]);

/** Signs with zk-kit. */
function sign(transaction, secret) {
    const key = new eddsa.EdDSAPoseidon(secret);
    return {
        ...transaction,
        signer: littleEndian(key.packedPublicKey).toString("hex"),
        signature: eddsa.packSignature(key.signMessage(message(transaction))).toString("hex"),
    };
}

const file = (transactions) =>
    JSON.stringify({ form: "crowdfold-transactions", version: 1, domain: hexadecimal(domain), transactions });

const transfer = {
    kind: "transfer",
    from: 5,
    to: 2 ** 24 - 1,
    nonce: 2 ** 32 - 2,
    amount: String(2n ** 128n - 1n),
    fee: String(2n ** 64n - 1n),
};
const withdrawal = {
    kind: "withdrawal",
    from: 6,
    address: "0xffeeddccbbaa99887766554433221100ffeeddcc",
    nonce: 0,
    amount: "1",
    fee: "0",
};

describe("transactions of zk-kit and of crowdfold-rollup", () => {
    let folder;
    const path = (name) => join(folder, name);
    const run = (...args) => execFileSync(TOOL, args, { encoding: "utf8" });

    before(() => {
        // As scripts/xtask builds: for one package alone, cargo would pick other features and compile twice.
        execFileSync("cargo", ["build", "--workspace", "--bins"], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
        folder = mkdtempSync(join(tmpdir(), "crowdfold-transactions-"));
    });
    after(() => folder && rmSync(folder, { recursive: true }));

    test("the tool accepts what zk-kit signs, and nothing that was changed", () => {
        const signed = [transfer, withdrawal].map((transaction) => sign(transaction, randomBytes(32)));
        writeFileSync(path("signed.json"), file(signed));
        assert.equal(run("tx", "verify", path("signed.json")), "valid: 2\n");
        const shown = JSON.parse(run("tx", "show", path("signed.json")));
        for (const [i, transaction] of [transfer, withdrawal].entries()) {
            assert.deepEqual(shown[i].words, words(transaction).map(hexadecimal));
            assert.equal(shown[i].message, hexadecimal(message(transaction)));
        }

        const changes = [
            { from: 4 },
            { to: 0 },
            { nonce: 1 },
            { amount: "0" },
            { fee: "1" },
            { signer: signed[1].signer },
            { signature: signed[1].signature },
        ];
        for (const change of changes) {
            writeFileSync(path("changed.json"), file([{ ...signed[0], ...change }]));
            const { status, stderr } = spawnSync(TOOL, ["tx", "verify", path("changed.json")], { encoding: "utf8" });
            assert.equal(status, 1, JSON.stringify(change));
            assert.match(stderr, /1 of 1 transactions have signatures that are not valid/);
        }
    });

    test("zk-kit accepts what the tool signs", () => {
        const secret = randomBytes(32);
        writeFileSync(path("key"), secret.toString("hex"), { mode: 0o600 });
        const key = new eddsa.EdDSAPoseidon(secret);
        const packed = littleEndian(key.packedPublicKey).toString("hex");
        assert.equal(run("key", "show", path("key")), `public key: ${packed}\n`);

        for (const expected of [transfer, withdrawal]) {
            const { kind, from, to, address, nonce, amount, fee } = expected;
            const target = kind === "transfer" ? ["transfer", "--to", to] : ["withdraw", "--address", address];
            const rollup = ["--chain-id", CHAIN_ID, "--contract", CONTRACT];
            const payment = ["--from", from, "--nonce", nonce, "--amount", amount, "--fee", fee];
            run("tx", ...[...target, "--key", path("key"), ...payment, ...rollup, "--out", path("made.json")].map(String));

            const made = JSON.parse(readFileSync(path("made.json"), "utf8"));
            assert.equal(made.domain, hexadecimal(domain));
            const [{ signer, signature, ...transaction }] = made.transactions;
            assert.deepEqual(transaction, expected);
            assert.equal(signer, packed);
            const unpacked = eddsa.unpackSignature(Buffer.from(signature, "hex"));
            assert.ok(eddsa.verifySignature(message(expected), unpacked, key.publicKey));
            assert.deepEqual(unpacked, key.signMessage(message(expected)));
        }
    });
});
