//! BLAKE-512 of short messages (Aumasson, Henzen, Meier, Phan, "SHA-3 proposal BLAKE", version 1.4, section 2.2),
//! without salt.
//!
//! This is the finalist of the SHA-3 competition, not BLAKE2. Keys and nonces hash 32 and 64 bytes, which fit in one
//! block.

const BLOCK_BYTES: usize = 128;
/// A block also holds two marking bits, in one byte at least, and the length in 16 bytes.
const MAX_BYTES: usize = BLOCK_BYTES - 17;
const ROUNDS: usize = 16;

/// The initial value, that of SHA-512.
const IV: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// Leading digits of pi's fractional part.
const PI: [u64; 16] = [
    0x243f6a8885a308d3,
    0x13198a2e03707344,
    0xa4093822299f31d0,
    0x082efa98ec4e6c89,
    0x452821e638d01377,
    0xbe5466cf34e90c6c,
    0xc0ac29b7c97c50dd,
    0x3f84d5b5b5470917,
    0x9216d5d98979fb1b,
    0xd1310ba698dfb5ac,
    0x2ffd72dbd01adfb7,
    0xb8e1afed6a267e96,
    0xba7c9045f12c7f99,
    0x24a19947b3916cf7,
    0x0801f2e2858efc16,
    0x636920d871574e69,
];

/// The order in which a round takes the message's words; round `r` uses row `r mod 10`.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// Words of the state that the eight applications of `G` in a round mix: columns, then diagonals.
const MIXED: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// The hash of a message of at most 111 bytes.
///
/// # Panics
/// If the message is longer.
pub(super) fn hash(message: &[u8]) -> [u8; 64] {
    assert!(message.len() <= MAX_BYTES, "BLAKE-512 of one block takes at most {MAX_BYTES} bytes");
    let bits = 8 * message.len() as u64;
    let mut block = [0; BLOCK_BYTES];
    block[..message.len()].copy_from_slice(message);
    block[message.len()] |= 0x80;
    block[MAX_BYTES] |= 0x01;
    block[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
    let words = block.as_chunks::<8>().0;
    let message: [u64; 16] = std::array::from_fn(|i| u64::from_be_bytes(words[i]));

    let mut state = [0; 16];
    state[..8].copy_from_slice(&IV);
    state[8..].copy_from_slice(&PI[..8]);
    state[12] ^= bits;
    state[13] ^= bits;
    for round in 0..ROUNDS {
        let sigma = &SIGMA[round % SIGMA.len()];
        for (at, pair) in MIXED.iter().zip(sigma.as_chunks::<2>().0) {
            mix(&mut state, *at, message[pair[0]] ^ PI[pair[1]], message[pair[1]] ^ PI[pair[0]]);
        }
    }

    let mut digest = [0; 64];
    for (i, bytes) in digest.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *bytes = (IV[i] ^ state[i] ^ state[i + 8]).to_be_bytes();
    }
    digest
}

/// The function `G` of the proposal, on the words `at` of the state.
fn mix(state: &mut [u64; 16], at: [usize; 4], first: u64, second: u64) {
    let [mut a, mut b, mut c, mut d] = at.map(|i| state[i]);
    a = a.wrapping_add(b).wrapping_add(first);
    d = (d ^ a).rotate_right(32);
    c = c.wrapping_add(d);
    b = (b ^ c).rotate_right(25);
    a = a.wrapping_add(b).wrapping_add(second);
    d = (d ^ a).rotate_right(16);
    c = c.wrapping_add(d);
    b = (b ^ c).rotate_right(11);
    for (i, word) in at.into_iter().zip([a, b, c, d]) {
        state[i] = word;
    }
}
