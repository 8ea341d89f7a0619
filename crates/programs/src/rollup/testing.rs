//! Small rollups for tests.

use super::account::{Account, Index};
use super::state::State;
use super::transaction::{SignedTransaction, Transaction};
use super::tree::{Accounts, MemoryAccounts};
use crate::eddsa::SecretKey;
use crowdfold_fold::{Address, Error, Fr};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(super) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(11)
}

pub(super) fn index(number: u32) -> Index {
    Index::new(number).expect("below 2^24")
}

pub(super) fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32])
}

pub(super) fn domain() -> Fr {
    State::domain(31337, Address([7; 20]))
}

pub(super) fn account(number: u8, balance: u128) -> Account {
    Account { key: secret(number).public(), balance, nonce: 0 }
}

/// Accounts 0 to `n - 1`, with the key of their number and a balance of 1000; the operator's is 0.
pub(super) fn rollup(n: u8) -> (MemoryAccounts, State) {
    let tree = MemoryAccounts::in_order((0..n).map(|number| account(number, 1000))).expect("few accounts");
    let state = state_of(&tree);
    (tree, state)
}

/// The first state of a rollup with these accounts, whose operator has account 0.
pub(super) fn state_of(tree: &MemoryAccounts) -> State {
    let Ok(root) = tree.root();
    State::genesis(root, domain(), index(0))
}

pub(super) fn transfer(from: u32, to: u32, nonce: u32, fee: u64, amount: u128) -> Transaction {
    Transaction::Transfer { from: index(from), to: index(to), nonce, fee, amount }
}

pub(super) fn withdrawal(from: u32, nonce: u32, fee: u64, amount: u128) -> Transaction {
    Transaction::Withdrawal { from: index(from), nonce, fee, amount, address: Address([0xab; 20]) }
}

/// Signed by the key with the number of the account that pays.
pub(super) fn signed(transaction: Transaction) -> SignedTransaction {
    let key = secret(transaction.from().get() as u8);
    SignedTransaction::sign(transaction, domain(), &key).expect("a transfer or withdrawal")
}

/// Checks that every shortened or lengthened encoding is refused, and that every changed byte makes it either refused
/// or the encoding of something else.
pub(super) fn assert_strict<T>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Error>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    for length in (0..bytes.len().min(300)).chain(bytes.len().saturating_sub(300)..bytes.len()) {
        assert!(decode(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "a byte more");
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in [1, 0x80, 0xff] {
            changed[at] ^= mask;
            if let Ok(value) = decode(&changed) {
                assert!(encode(&value) == changed, "a second encoding: byte {at} with mask {mask}");
            }
            changed[at] ^= mask;
        }
    }
}
