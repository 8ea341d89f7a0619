// Writes eddsa.json and poseidon.json with zk-kit and poseidon-lite: `node vectors/make.mjs`. The same every time.
//
// Field elements and scalars are decimal; keys, points and signatures in bytes are hexadecimal, in the order of the bytes.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Node can't load zk-kit's ECMAScript modules: they import names from a CommonJS package.
const require = createRequire(import.meta.url);
const eddsa = require("@zk-kit/eddsa-poseidon");
const poseidon = require("poseidon-lite");


export { eddsa };

export const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** 32 bytes that look random, always the same for a label. */
const bytes = (label) => createHash("sha256").update(`crowdfold vectors ${label}`).digest();
const element = (label) => BigInt(`0x${bytes(label).toString("hex")}`) % R;

/** A number below 2^256 as 32 bytes, little-endian. */
export const littleEndian = (number) => Buffer.from(number.toString(16).padStart(64, "0"), "hex").reverse();

/** circomlib's Poseidon of 1 to 16 elements. */
export const hash = (inputs) => poseidon[`poseidon${inputs.length}`](inputs);

/** A key and its signatures of the messages, as zk-kit makes them. */
export function signer(secret, messages) {
    const key = new eddsa.EdDSAPoseidon(secret);
    return {
        secret: Buffer.from(secret).toString("hex"),
        publicKey: key.publicKey.map(String),
        packedPublicKey: littleEndian(key.packedPublicKey).toString("hex"),
        signatures: messages.map((message) => {
            const { R8, S } = key.signMessage(message);
            return {
                message: String(message),
                r8: R8.map(String),
                s: String(S),
                packed: eddsa.packSignature({ R8, S }).toString("hex"),
            };
        }),
    };
}

/** The contents of eddsa.json. */
export function eddsaVectors() {
    const counter = (i) => Buffer.from(Array.from({ length: 32 }, (_, j) => (j === 0 ? i : 0)));
    const secrets = [counter(0), counter(1), counter(2), Buffer.alloc(32, 0xff)];
    for (let i = 0; i < 4; i++) secrets.push(bytes(`secret ${i}`));
    return secrets.map((secret, i) => {
        const edges = i < 2 ? [0n, 1n, R - 1n] : [];
        return signer(secret, [...edges, element(`message ${i} a`), element(`message ${i} b`)]);
    });
}

/** The contents of poseidon.json. */
export function poseidonVectors() {
    const vectors = [];
    for (let n = 1; n <= 16; n++) {
        const rows = [(i) => BigInt(i + 1), () => 0n, () => R - 1n, (i) => element(`poseidon ${n} ${i}`)];
        for (const row of rows) {
            const inputs = Array.from({ length: n }, (_, i) => row(i));
            vectors.push({ inputs: inputs.map(String), hash: String(hash(inputs)) });
        }
    }
    return vectors;
}

/** A file's text. */
export const text = (vectors) => `${JSON.stringify(vectors, null, 2)}\n`;

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    writeFileSync(new URL("eddsa.json", import.meta.url), text(eddsaVectors()));
    writeFileSync(new URL("poseidon.json", import.meta.url), text(poseidonVectors()));
}
