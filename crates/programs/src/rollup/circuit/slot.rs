//! A transaction slot.

use std::array::from_fn;
use std::sync::LazyLock;

use crowdfold_fold::Fr;
use crowdfold_fold::gadgets::bits::range;
use crowdfold_fold::gadgets::num::{Lc, Num, ONE, enforce};
use crowdfold_fold::poseidon::circuit::hash;
use ff::Field;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::super::account::Index;
use super::super::transaction::{AMOUNT_BITS, FEE_BITS, NONCE_BITS, word_weights};
use super::WordLcs;
use super::leaf::Leaf;
use super::path::{Children, replace};
use super::witness::SlotWitness;
use crate::eddsa::SecretKey;
use crate::eddsa::circuit::{SignatureWitness, verify};

/// What slots change, and what they are bound to.
pub(super) struct Running {
    pub(super) top: Children,
    pub(super) deposits: Num<Fr>,
    pub(super) withdrawals: Num<Fr>,
    pub(super) count: Lc<Fr>,
    pub(super) fees: Lc<Fr>,
    pub(super) domain: Lc<Fr>,
    pub(super) operator: Lc<Fr>,
}

/// Allocates a boolean of any offered value (one row).
pub(super) fn flag<CS: ConstraintSystem<Fr>>(cs: &mut CS, value: Fr) -> Result<Num<Fr>, SynthesisError> {
    let flag = Num::alloc(cs, value)?;
    cs.enforce(|| "", |lc| lc + flag.var, |lc| lc + ONE - flag.var, |lc| lc);
    Ok(flag)
}

/// Enforces that a number is zero where `when` is one (one row).
fn zero_when<CS: ConstraintSystem<Fr>>(cs: &mut CS, rule: &'static str, when: &Lc<Fr>, number: &Lc<Fr>) {
    enforce(&mut cs.namespace(|| rule), when, number, &Lc::zero());
}

/// Bits of an index and the index.
struct IndexVar {
    bits: [Num<Fr>; Index::BITS],
    value: Lc<Fr>,
}

impl IndexVar {
    fn alloc<CS: ConstraintSystem<Fr>>(cs: &mut CS, bits: &[Fr; Index::BITS]) -> Result<Self, SynthesisError> {
        let cs = &mut cs.namespace(|| "index");
        let bits: Vec<Num<Fr>> = bits.iter().map(|bit| flag(cs, *bit)).collect::<Result<_, _>>()?;
        let (value, _) =
            bits.iter().fold((Lc::zero(), Fr::ONE), |(lc, weight), bit| (lc.plus(weight, bit), weight.double()));
        Ok(Self { bits: from_fn(|i| bits[i]), value })
    }
}

impl Running {
    /// Executes one slot and returns its words, and whether it seals the batch.
    pub(super) fn execute<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        witness: &SlotWitness,
        may_seal: bool,
    ) -> Result<(WordLcs, Lc<Fr>), SynthesisError> {
        let [transfer, deposit, withdrawal, seal] = kinds(&mut cs.namespace(|| "kind"), &witness.kinds, may_seal)?;
        let signed = transfer.clone() + &withdrawal;
        let credited = transfer.clone() + &deposit + &seal;
        let from = IndexVar::alloc(cs, &witness.from)?;
        let to = IndexVar::alloc(cs, &witness.to)?;
        let [nonce, fee, amount, address]: [Lc<Fr>; 4] = {
            let values = [witness.nonce, witness.fee, witness.amount, witness.address];
            let nums: Vec<Num<Fr>> = values.iter().map(|v| Num::alloc(cs, *v)).collect::<Result<_, _>>()?;
            from_fn(|i| nums[i].into())
        };
        range(&mut cs.namespace(|| "fee range"), &fee, FEE_BITS)?;
        range(&mut cs.namespace(|| "amount range"), &amount, AMOUNT_BITS)?;
        let kind = transfer.clone().plus_lc(Fr::from(2), &deposit).plus_lc(Fr::from(3), &withdrawal);
        let kind = kind.plus_lc(Fr::from(4), &seal);
        let parts = [&kind, &from.value, &to.value, &nonce, &fee];
        let first = parts.iter().zip(word_weights()).fold(Lc::zero(), |lc, (part, weight)| lc.plus_lc(weight, part));
        let words = [first, amount.clone(), address.clone()];

        let payer =
            self.debit(&mut cs.namespace(|| "debit"), witness, &from, &signed, &nonce, &(amount.clone() + &fee))?;
        let free = public_key().public();
        let key = [
            Num::select(cs, &signed, &payer.key[0].into(), &Lc::constant(free.x()))?,
            Num::select(cs, &signed, &payer.key[1].into(), &Lc::constant(free.y()))?,
        ];
        let message = {
            let [first, amount, address] = words.clone();
            hash(&mut cs.namespace(|| "message hash"), &[self.domain.clone(), first, amount, address])?
        };
        let free = || SignatureWitness::from(&public_key().sign(message.value));
        let signature = witness.signature.clone().unwrap_or_else(free);
        verify(&mut cs.namespace(|| "signature"), &key, &message.into(), &signature)?;

        let creditable = transfer.clone() + &seal;
        let receiver =
            self.credit(&mut cs.namespace(|| "credit"), witness, &to, [&deposit, &creditable, &credited], &amount)?;
        zero_when(cs, "seal to operator", &seal, &(to.value - &self.operator));
        self.link(&mut cs.namespace(|| "link"), [&deposit, &withdrawal], &receiver.key, [&address, &amount])?;

        let charged = Num::product(&mut cs.namespace(|| "fee"), &signed, &fee)?;
        self.fees = self.fees.clone().plus(Fr::ONE, &charged);
        zero_when(cs, "seal of all fees", &seal, &(amount - &self.fees));
        self.count = self.count.clone() + &signed + &deposit;
        Ok((words, seal))
    }

    /// Takes `total` from the account at `from` where `signed` is one.
    fn debit<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        witness: &SlotWitness,
        from: &IndexVar,
        signed: &Lc<Fr>,
        nonce: &Lc<Fr>,
        total: &Lc<Fr>,
    ) -> Result<Leaf, SynthesisError> {
        let leaf = Leaf::alloc(cs, &witness.debit)?;
        zero_when(cs, "exists", signed, &leaf.empty.into());
        // That of the account where one is used, zero elsewhere.
        enforce(&mut cs.namespace(|| "nonce"), signed, &leaf.nonce.into(), nonce);
        let next_nonce = Lc::from(leaf.nonce) + signed;
        range(&mut cs.namespace(|| "nonce range"), &next_nonce, NONCE_BITS)?;
        let paid = Num::product(cs, signed, total)?;
        let balance = Lc::from(leaf.balance).plus(-Fr::ONE, &paid);
        range(&mut cs.namespace(|| "balance"), &balance, AMOUNT_BITS)?;

        let old = leaf.before(&mut cs.namespace(|| "old leaf"))?;
        let exists = Lc::one().plus(-Fr::ONE, &leaf.empty);
        let new = leaf.with_balance_and_nonce(&mut cs.namespace(|| "new leaf"), &exists, &balance, &next_nonce)?;
        replace(&mut cs.namespace(|| "path"), &mut self.top, &from.bits, old, new, &witness.debit.siblings)?;
        Ok(leaf)
    }

    /// Gives `amount` to the account at `to` where `credited` is one, and creates it for a deposit.
    fn credit<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        witness: &SlotWitness,
        to: &IndexVar,
        [deposit, needs_account, credited]: [&Lc<Fr>; 3],
        amount: &Lc<Fr>,
    ) -> Result<Leaf, SynthesisError> {
        let leaf = Leaf::alloc(cs, &witness.credit)?;
        zero_when(cs, "exists", needs_account, &leaf.empty.into());
        let created = Num::product(cs, deposit, &leaf.empty.into())?;
        zero_when(cs, "created without balance", &created.into(), &leaf.balance.into());
        zero_when(cs, "created without nonce", &created.into(), &leaf.nonce.into());
        let received = Num::product(cs, credited, amount)?;
        let balance = Lc::from(leaf.balance).plus(Fr::ONE, &received);
        range(&mut cs.namespace(|| "balance"), &balance, AMOUNT_BITS)?;

        let old = leaf.before(&mut cs.namespace(|| "old leaf"))?;
        let exists = Lc::one().plus(-Fr::ONE, &leaf.empty).plus(Fr::ONE, &created);
        let new = leaf.with_balance(&mut cs.namespace(|| "new leaf"), &exists, &balance)?;
        replace(&mut cs.namespace(|| "path"), &mut self.top, &to.bits, old, new, &witness.credit.siblings)?;
        Ok(leaf)
    }

    /// Links a deposit or a withdrawal to its running hash; one hash serves both, as a slot is at most one of them.
    fn link<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        [deposit, withdrawal]: [&Lc<Fr>; 2],
        key: &[Num<Fr>; 2],
        [address, amount]: [&Lc<Fr>; 2],
    ) -> Result<(), SynthesisError> {
        let before = Num::select(cs, deposit, &self.deposits.into(), &self.withdrawals.into())?;
        let first = Num::select(cs, deposit, &key[0].into(), address)?;
        let second = Num::product(cs, deposit, &key[1].into())?;
        let link = hash(cs, &[before.into(), first.into(), second.into(), amount.clone()])?;
        self.deposits = Num::select(cs, deposit, &link.into(), &self.deposits.into())?;
        self.withdrawals = Num::select(cs, withdrawal, &link.into(), &self.withdrawals.into())?;
        Ok(())
    }
}

/// Booleans of which at most one is one; the last is zero where a slot may not seal.
fn kinds<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    values: &[Fr; 4],
    may_seal: bool,
) -> Result<[Lc<Fr>; 4], SynthesisError> {
    let mut kinds: [Lc<Fr>; 4] = from_fn(|_| Lc::zero());
    for (kind, value) in kinds.iter_mut().zip(values).take(if may_seal { 4 } else { 3 }) {
        *kind = flag(cs, *value)?.into();
    }
    let sum = kinds.iter().fold(Lc::zero(), |sum, kind| sum + kind);
    enforce(&mut cs.namespace(|| "one"), &sum, &(Lc::one() - &sum), &Lc::zero());
    Ok(kinds)
}

/// The key of slots that need no signature: that of 32 zero bytes, which anybody can sign with.
///
/// A key whose secret is small won't do: the ladder would meet exceptional cases (`docs/spec/eddsa.md`, section 2).
fn public_key() -> &'static SecretKey {
    static KEY: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_bytes([0; 32]));
    &KEY
}
