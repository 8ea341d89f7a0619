//! Transactions, the words they are made of, and what users and chains ask for.

use super::account::Index;
use super::codec::{KEY_BYTES, Reader, SIGNATURE_BYTES, decode_all, key_bytes};
use crate::eddsa::{PublicKey, SecretKey, Signature};
use crowdfold_fold::{Address, Error, Fr, poseidon};
use ff::{Field, PrimeField};

/// What a slot of a step does (`docs/spec/rollup.md`, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Padding.
    Nothing,
    /// From an account to another.
    Transfer {
        /// Who pays and signs.
        from: Index,
        /// Who is paid.
        to: Index,
        /// The nonce of `from`.
        nonce: u32,
        /// What the operator gets.
        fee: u64,
        /// What `to` gets.
        amount: u128,
    },
    /// From the chain to an account.
    Deposit {
        /// Where.
        to: Index,
        /// The key that the depositor named.
        key: PublicKey,
        /// How much.
        amount: u128,
    },
    /// From an account to the chain.
    Withdrawal {
        /// Who pays and signs.
        from: Index,
        /// The nonce of `from`.
        nonce: u32,
        /// What the operator gets.
        fee: u64,
        /// What arrives on the chain.
        amount: u128,
        /// Where it arrives.
        address: Address,
    },
    /// The end of a batch: the operator gets its fees.
    Seal {
        /// The operator's account.
        operator: Index,
        /// All fees of the batch.
        fees: u128,
    },
}

/// The words of a transaction: what is signed, and what its data is.
pub type Words = [Fr; 3];

/// Bits of a kind.
const KIND_BITS: usize = 3;
/// Bits of a nonce.
pub(super) const NONCE_BITS: usize = 32;
/// Bits of a fee.
pub(super) const FEE_BITS: usize = 64;
/// Bits of an amount, and of a balance.
pub(super) const AMOUNT_BITS: usize = 128;

/// What kind, `from`, `to`, nonce and fee are multiplied with in the first word.
pub(super) fn word_weights() -> [Fr; 5] {
    let widths = [KIND_BITS, Index::BITS, Index::BITS, NONCE_BITS];
    let mut weights = [Fr::ONE; 5];
    for (i, width) in widths.into_iter().enumerate() {
        weights[i + 1] = weights[i] * Fr::from(1 << width);
    }
    weights
}

/// The kinds of transactions, as they are written.
pub(super) mod kind {
    pub const NOTHING: u8 = 0;
    pub const TRANSFER: u8 = 1;
    pub const DEPOSIT: u8 = 2;
    pub const WITHDRAWAL: u8 = 3;
    pub const SEAL: u8 = 4;
}

impl Transaction {
    /// The number of its kind, below 2^3.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Nothing => kind::NOTHING,
            Self::Transfer { .. } => kind::TRANSFER,
            Self::Deposit { .. } => kind::DEPOSIT,
            Self::Withdrawal { .. } => kind::WITHDRAWAL,
            Self::Seal { .. } => kind::SEAL,
        }
    }

    /// The account that is debited; index 0 where there is none.
    pub fn from(&self) -> Index {
        match *self {
            Self::Transfer { from, .. } | Self::Withdrawal { from, .. } => from,
            Self::Nothing | Self::Deposit { .. } | Self::Seal { .. } => Index::default(),
        }
    }

    /// The account that is credited; index 0 where there is none.
    pub fn to(&self) -> Index {
        match *self {
            Self::Transfer { to, .. } | Self::Deposit { to, .. } | Self::Seal { operator: to, .. } => to,
            Self::Nothing | Self::Withdrawal { .. } => Index::default(),
        }
    }

    /// The nonce it was signed for; 0 where it is not signed.
    pub fn nonce(&self) -> u32 {
        match *self {
            Self::Transfer { nonce, .. } | Self::Withdrawal { nonce, .. } => nonce,
            Self::Nothing | Self::Deposit { .. } | Self::Seal { .. } => 0,
        }
    }

    /// What the operator gets for it.
    pub fn fee(&self) -> u64 {
        match *self {
            Self::Transfer { fee, .. } | Self::Withdrawal { fee, .. } => fee,
            Self::Nothing | Self::Deposit { .. } | Self::Seal { .. } => 0,
        }
    }

    /// What is moved, without the fee: for a seal, all fees.
    pub fn amount(&self) -> u128 {
        match *self {
            Self::Transfer { amount, .. } | Self::Deposit { amount, .. } | Self::Withdrawal { amount, .. } => amount,
            Self::Seal { fees, .. } => fees,
            Self::Nothing => 0,
        }
    }

    /// The recipient of a withdrawal, otherwise the address 0.
    pub fn address(&self) -> Address {
        match *self {
            Self::Withdrawal { address, .. } => address,
            _ => Address([0; 20]),
        }
    }

    /// Whether it takes a signature: transfers and withdrawals do.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Transfer { .. } | Self::Withdrawal { .. })
    }

    /// Whether the state counts it: all but padding and seals.
    pub fn is_counted(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Seal { .. })
    }

    /// Its three words.
    pub fn words(&self) -> Words {
        let parts =
            [u64::from(self.kind()), self.from().get().into(), self.to().get().into(), self.nonce().into(), self.fee()];
        let first = parts.into_iter().zip(word_weights()).map(|(part, weight)| Fr::from(part) * weight).sum();
        [first, Fr::from_u128(self.amount()), address_element(&self.address())]
    }

    /// What is signed: `P(domain, words)`.
    pub fn message(&self, domain: Fr) -> Fr {
        let [w0, w1, w2] = self.words();
        poseidon::hash(&[domain, w0, w1, w2])
    }

    /// The state's `deposits` after it.
    pub(super) fn link_deposit(&self, deposits: Fr) -> Fr {
        match self {
            Self::Deposit { key, amount, .. } => Deposit { key: *key, amount: *amount }.link(deposits),
            _ => deposits,
        }
    }

    /// The state's `withdrawals` after it.
    pub(super) fn link_withdrawal(&self, withdrawals: Fr) -> Fr {
        match self {
            Self::Withdrawal { amount, address, .. } => {
                poseidon::hash(&[withdrawals, address_element(address), Fr::ZERO, Fr::from_u128(*amount)])
            }
            _ => withdrawals,
        }
    }

    /// Writes a transaction that is signed; nothing for the others.
    pub(super) fn write_signed(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Transfer { from, to, nonce, fee, amount } => {
                out.push(kind::TRANSFER);
                out.extend(from.get().to_le_bytes());
                out.extend(to.get().to_le_bytes());
                out.extend(nonce.to_le_bytes());
                out.extend(fee.to_le_bytes());
                out.extend(amount.to_le_bytes());
            }
            Self::Withdrawal { from, nonce, fee, amount, address } => {
                out.push(kind::WITHDRAWAL);
                out.extend(from.get().to_le_bytes());
                out.extend(nonce.to_le_bytes());
                out.extend(fee.to_le_bytes());
                out.extend(amount.to_le_bytes());
                out.extend(address.0);
            }
            Self::Nothing | Self::Deposit { .. } | Self::Seal { .. } => {}
        }
    }

    /// Reads what follows the kind of a transaction that is signed; `None` for other kinds.
    pub(super) fn read_signed(kind: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        Ok(match kind {
            kind::TRANSFER => Some(Self::Transfer {
                from: reader.index("who pays")?,
                to: reader.index("who is paid")?,
                nonce: reader.u32("nonce")?,
                fee: reader.u64("fee")?,
                amount: reader.u128("amount")?,
            }),
            kind::WITHDRAWAL => Some(Self::Withdrawal {
                from: reader.index("who pays")?,
                nonce: reader.u32("nonce")?,
                fee: reader.u64("fee")?,
                amount: reader.u128("amount")?,
                address: reader.address("recipient")?,
            }),
            _ => None,
        })
    }
}

/// An address as a number: its 20 bytes, big-endian.
pub(super) fn address_element(address: &Address) -> Fr {
    address.0.iter().fold(Fr::ZERO, |number, byte| number * Fr::from(256) + Fr::from(u64::from(*byte)))
}

/// A transfer or withdrawal with a signature, which may be of anybody: see [`super::Verified`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    transaction: Transaction,
    signature: Signature,
}

impl SignedTransaction {
    /// The largest encoding in bytes: that of a withdrawal.
    pub const MAX_BYTES: usize = 1 + 4 + 4 + 8 + 16 + 20 + SIGNATURE_BYTES;

    /// Bytes of an encoding that begins with this kind; `None` for kinds that are not signed.
    pub fn encoded_bytes(kind: u8) -> Option<usize> {
        match kind {
            kind::TRANSFER => Some(1 + 4 + 4 + 4 + 8 + 16 + SIGNATURE_BYTES),
            kind::WITHDRAWAL => Some(Self::MAX_BYTES),
            _ => None,
        }
    }

    /// `None` for a transaction that takes no signature.
    pub fn new(transaction: Transaction, signature: Signature) -> Option<Self> {
        transaction.is_signed().then_some(Self { transaction, signature })
    }

    /// Signs a transfer or withdrawal for the rollup of `domain`; `None` for a transaction that takes no signature.
    pub fn sign(transaction: Transaction, domain: Fr, key: &SecretKey) -> Option<Self> {
        transaction.is_signed().then(|| Self { transaction, signature: key.sign(transaction.message(domain)) })
    }

    /// A transfer or withdrawal.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The canonical encoding: the kind in one byte; `from`, `to` (transfer), nonce, fee, amount, address (withdrawal)
    /// in 4, 4, 4, 8, 16 and 20 bytes, numbers little-endian; the signature in 64.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::MAX_BYTES);
        self.transaction.write_signed(&mut out);
        out.extend(self.signature.to_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_all(bytes, |reader| {
            let kind = reader.u8("kind")?;
            let unknown =
                Error::Decode { what: "kind", at: 0, reason: "only transfers (1) and withdrawals (3) are signed" };
            let transaction = Transaction::read_signed(kind, reader)?.ok_or(unknown)?;
            Ok(Self { transaction, signature: reader.signature("signature")? })
        })
    }
}

/// A deposit as the chain's queue has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Whose account gets it: any two numbers below r, which may be no point of the curve.
    pub key: PublicKey,
    /// How much.
    pub amount: u128,
}

impl Deposit {
    /// Bytes of a deposit.
    pub const BYTES: usize = KEY_BYTES + 16;

    /// The running hash of deposits with this one: `P(deposits, Ax, Ay, amount)`.
    pub fn link(&self, deposits: Fr) -> Fr {
        poseidon::hash(&[deposits, self.key.x(), self.key.y(), Fr::from_u128(self.amount)])
    }

    /// The canonical encoding: both coordinates of the key in 32 bytes each, the amount in 16, little-endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..KEY_BYTES].copy_from_slice(&key_bytes(&self.key));
        bytes[KEY_BYTES..].copy_from_slice(&self.amount.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_all(bytes, |reader| Ok(Self { key: reader.key("key")?, amount: reader.u128("amount")? }))
    }
}

/// What an operator is asked to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// By the chain.
    Deposit(Deposit),
    /// By the owner of an account.
    Signed(SignedTransaction),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::testing::{assert_strict, index, secret};

    fn samples() -> Vec<SignedTransaction> {
        let key = secret(1);
        let transfer =
            Transaction::Transfer { from: index(5), to: index((1 << 24) - 1), nonce: 7, fee: 11, amount: 1 << 100 };
        let withdrawal = Transaction::Withdrawal {
            from: index(5),
            nonce: u32::MAX,
            fee: u64::MAX,
            amount: u128::MAX,
            address: Address([9; 20]),
        };
        [transfer, withdrawal].map(|t| SignedTransaction::sign(t, Fr::from(3), &key).expect("it is signed")).to_vec()
    }

    #[test]
    fn the_words_are_those_of_the_specification() {
        let power = |n: u64| Fr::from(2).pow_vartime([n]);
        let transaction =
            Transaction::Transfer { from: index(5), to: index(6), nonce: 7, fee: u64::MAX, amount: u128::MAX };
        let [w0, w1, w2] = transaction.words();
        let fee = Fr::from(u64::MAX) * power(83);
        let expected = Fr::from(1) + Fr::from(5) * power(3) + Fr::from(6) * power(27) + Fr::from(7) * power(51) + fee;
        assert_eq!((w0, w1, w2), (expected, power(128) - Fr::ONE, Fr::ZERO));

        let mut address = [0; 20];
        (address[0], address[19]) = (1, 2);
        let withdrawal =
            Transaction::Withdrawal { from: index(1), nonce: u32::MAX, fee: 0, amount: 1, address: Address(address) };
        let nonce = Fr::from(u64::from(u32::MAX)) * power(51);
        assert_eq!(withdrawal.words(), [Fr::from(3 + 8) + nonce, Fr::ONE, power(152) + Fr::from(2)]);
        assert_eq!(Transaction::Nothing.words(), [Fr::ZERO; 3]);
        let seal = Transaction::Seal { operator: index(2), fees: 9 };
        assert_eq!(seal.words(), [Fr::from(4) + Fr::from(2) * power(27), Fr::from(9), Fr::ZERO]);
    }

    #[test]
    fn only_transfers_and_withdrawals_are_signed() {
        let signature = *samples()[0].signature();
        let deposit = Transaction::Deposit { to: index(1), key: secret(1).public(), amount: 1 };
        for other in [Transaction::Nothing, deposit, Transaction::Seal { operator: index(0), fees: 0 }] {
            assert_eq!(SignedTransaction::new(other, signature), None);
            assert_eq!(SignedTransaction::sign(other, Fr::ONE, &secret(1)), None);
        }
    }

    #[test]
    fn signed_transactions_round_trip_strictly() {
        for signed in samples() {
            let bytes = signed.to_bytes();
            assert_eq!(SignedTransaction::encoded_bytes(bytes[0]), Some(bytes.len()));
            assert!(bytes.len() <= SignedTransaction::MAX_BYTES);
            assert_eq!(SignedTransaction::from_bytes(&bytes).expect("it was just encoded"), signed);
            assert_strict(&bytes, SignedTransaction::from_bytes, SignedTransaction::to_bytes);
            for kind in [0, 2, 4, 255] {
                let other = [&[kind], &bytes[1..]].concat();
                assert!(matches!(
                    SignedTransaction::from_bytes(&other),
                    Err(Error::Decode { what: "kind", at: 0, .. })
                ));
            }
            let mut beyond = bytes.clone();
            beyond[4] = 1;
            assert!(matches!(
                SignedTransaction::from_bytes(&beyond),
                Err(Error::Decode { what: "who pays", at: 1, .. })
            ));
        }
    }

    #[test]
    fn deposits_round_trip_strictly() {
        let deposit = Deposit { key: secret(3).public(), amount: u128::MAX - 5 };
        let bytes = deposit.to_bytes();
        assert_eq!(Deposit::from_bytes(&bytes).expect("it was just encoded"), deposit);
        assert_strict(&bytes, Deposit::from_bytes, |deposit| deposit.to_bytes().to_vec());
        let mut beyond = bytes;
        beyond[32..64].fill(0xff);
        assert!(matches!(Deposit::from_bytes(&beyond), Err(Error::Decode { what: "key", at: 32, .. })));
    }
}
