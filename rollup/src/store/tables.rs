//! The tables of a store, and how their rows are written.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `magic`, `version`, `head` | 16 bytes; 4 bytes; the head |
//! | `accounts` | index | both coordinates of the key, balance, nonce: 84 bytes |
//! | `nodes` | level and position of a node | its eight children, 32 bytes each |
//! | `keys` | both coordinates of a key | the lowest index that has it |
//!
//! Numbers are little-endian. The children of a node lie together because they are read together, to hash it and to
//! make paths. The root is in the head; nodes without accounts below them are absent.

use crate::Error;
use crowdfold_fold::Fr;
use crowdfold_programs::eddsa::{Point, PublicKey};
use crowdfold_programs::rollup::{ARITY, Account, State, TREE_ARITY, TREE_DEPTH, empty_node};
use redb::TableDefinition;

/// What every store is marked with.
pub(super) const MAGIC: [u8; 16] = *b"crowdfold rollup";
/// The version of all that this module says.
pub(super) const VERSION: u32 = 1;

pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const ACCOUNTS: TableDefinition<'static, u32, &[u8; ACCOUNT_BYTES]> = TableDefinition::new("accounts");
pub(super) const NODES: TableDefinition<'static, u32, &[u8; GROUP_BYTES]> = TableDefinition::new("nodes");
pub(super) const KEYS: TableDefinition<'static, &[u8; KEY_BYTES], u32> = TableDefinition::new("keys");

/// Bytes of a field element.
const ELEMENT_BYTES: usize = 32;
/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 2 * ELEMENT_BYTES;
/// Bytes of an account.
pub(super) const ACCOUNT_BYTES: usize = KEY_BYTES + 16 + 4;
/// Bytes of the children of a node.
pub(super) const GROUP_BYTES: usize = TREE_ARITY * ELEMENT_BYTES;
/// Bytes of a head.
const HEAD_BYTES: usize = ARITY * ELEMENT_BYTES + 4 + 8;

/// What is true between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The state of the program.
    pub state: State,
    /// Number of accounts.
    pub accounts: u32,
    /// Batches committed since genesis.
    pub batch: u64,
}

impl Head {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out: Vec<u8> = self.state.to_elements().iter().flat_map(Fr::to_bytes).collect();
        out.extend(self.accounts.to_le_bytes());
        out.extend(self.batch.to_le_bytes());
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = || Error::corrupt("the head is not written as heads are");
        let bytes: &[u8; HEAD_BYTES] = bytes.try_into().map_err(|_| wrong())?;
        let (elements, numbers) = bytes.split_at(ARITY * ELEMENT_BYTES);
        let (elements, _) = elements.as_chunks::<ELEMENT_BYTES>();
        let elements = elements.iter().map(element).collect::<Option<Vec<Fr>>>().ok_or_else(wrong)?;
        let state = State::try_from(&elements[..]).map_err(|_| wrong())?;
        let (accounts, batch) = numbers.split_at(4);
        Ok(Self {
            state,
            accounts: u32::from_le_bytes(accounts.try_into().map_err(|_| wrong())?),
            batch: u64::from_le_bytes(batch.try_into().map_err(|_| wrong())?),
        })
    }
}

fn element(bytes: &[u8; ELEMENT_BYTES]) -> Option<Fr> {
    Option::from(Fr::from_bytes(bytes))
}

/// The row of an account in `accounts`.
pub(super) fn account_bytes(account: &Account) -> [u8; ACCOUNT_BYTES] {
    let mut bytes = [0; ACCOUNT_BYTES];
    bytes[..KEY_BYTES].copy_from_slice(&key_bytes(&account.key));
    bytes[KEY_BYTES..KEY_BYTES + 16].copy_from_slice(&account.balance.to_le_bytes());
    bytes[KEY_BYTES + 16..].copy_from_slice(&account.nonce.to_le_bytes());
    bytes
}

/// Reads a row of `accounts`; `None` if no account is written like this.
pub(super) fn read_account(bytes: &[u8; ACCOUNT_BYTES]) -> Option<Account> {
    let (x, rest) = bytes.split_first_chunk::<ELEMENT_BYTES>()?;
    let (y, rest) = rest.split_first_chunk::<ELEMENT_BYTES>()?;
    let (balance, nonce) = rest.split_first_chunk::<16>()?;
    Some(Account {
        key: PublicKey(Point { x: element(x)?, y: element(y)? }),
        balance: u128::from_le_bytes(*balance),
        nonce: u32::from_le_bytes(nonce.try_into().ok()?),
    })
}

/// The row of a key in `keys`.
pub(super) fn key_bytes(key: &PublicKey) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes[..ELEMENT_BYTES].copy_from_slice(&key.x().to_bytes());
    bytes[ELEMENT_BYTES..].copy_from_slice(&key.y().to_bytes());
    bytes
}

/// The row of a node in `nodes`. Levels are from 1, as leaves have no children.
pub(super) fn node_key(level: usize, position: u32) -> u32 {
    (level as u32) << 24 | position
}

/// Level and position of a row in `nodes`.
pub(super) fn node_of_key(key: u32) -> (usize, u32) {
    ((key >> 24) as usize, key & 0xff_ffff)
}

/// Children of a node.
pub(super) type Group = [Fr; TREE_ARITY];

/// The children of a node of that level with no accounts below it.
pub(super) fn empty_group(level: usize) -> Group {
    debug_assert!((1..=TREE_DEPTH).contains(&level));
    [empty_node(level - 1); TREE_ARITY]
}

pub(super) fn group_bytes(group: &Group) -> [u8; GROUP_BYTES] {
    let mut bytes = [0; GROUP_BYTES];
    let (chunks, _) = bytes.as_chunks_mut::<ELEMENT_BYTES>();
    chunks.iter_mut().zip(group).for_each(|(chunk, child)| *chunk = child.to_bytes());
    bytes
}

/// Reads a row of `nodes`; `None` if no node is written like this.
pub(super) fn read_group(bytes: &[u8; GROUP_BYTES]) -> Option<Group> {
    let mut group = Group::default();
    let (chunks, _) = bytes.as_chunks::<ELEMENT_BYTES>();
    for (child, chunk) in group.iter_mut().zip(chunks) {
        *child = element(chunk)?;
    }
    Some(group)
}
