//! The state of the program.

use super::account::Index;
use super::transaction::address_element;
use crate::program::{StateField, to_u64};
use crowdfold_fold::{Address, Error, Fr, poseidon};
use ff::{Field, PrimeField};

/// Elements of a state.
pub const ARITY: usize = 11;

/// The state (`docs/spec/rollup.md`, section 2), in the order of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Root of the account tree.
    pub root: Fr,
    /// Running hash of consumed deposits.
    pub deposits: Fr,
    /// Running hash of withdrawals.
    pub withdrawals: Fr,
    /// Running hash of sealed batches.
    pub sealed: Fr,
    /// Transfers, deposits and withdrawals so far.
    pub count: Fr,
    /// What signatures are bound to.
    pub domain: Fr,
    /// Index of the operator's account.
    pub operator: Fr,
    /// Fees of the open batch.
    pub fees: Fr,
    /// Running hash of the open batch's data.
    pub data: Fr,
    /// Where that data is evaluated.
    pub point: Fr,
    /// Its value there.
    pub evaluation: Fr,
}

impl State {
    /// The first state of a rollup whose accounts have that root.
    pub fn genesis(root: Fr, domain: Fr, operator: Index) -> Self {
        let zero = Fr::ZERO;
        let mut state = Self::from([zero; ARITY]);
        (state.root, state.domain, state.operator) = (root, domain, operator.element());
        state
    }

    /// What the signatures of the rollup of `contract` on the chain are bound to: `P(chain id, contract)`.
    pub fn domain(chain_id: u64, contract: Address) -> Fr {
        poseidon::hash(&[Fr::from(chain_id), address_element(&contract)])
    }

    /// Whether no batch is open: fees, data, point and evaluation are 0.
    pub fn is_between_batches(&self) -> bool {
        [self.fees, self.data, self.point, self.evaluation] == [Fr::ZERO; 4]
    }

    /// The operator's account; `None` in a state that no rollup can be in.
    pub fn operator_index(&self) -> Option<Index> {
        to_u64(&self.operator).and_then(|index| u32::try_from(index).ok()).and_then(Index::new)
    }

    /// The elements in order.
    pub fn to_elements(&self) -> [Fr; ARITY] {
        let Self { root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation } =
            *self;
        [root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation]
    }

    /// The state for people.
    pub fn describe(&self) -> Vec<StateField> {
        let hash = |name: &str, meaning: &str, value: &Fr| StateField::new(name, meaning, hexadecimal(value));
        let number = |name: &str, meaning: &str, value: &Fr| {
            StateField::new(name, meaning, to_u128(value).map_or_else(|| hexadecimal(value), |small| small.to_string()))
        };
        vec![
            hash("root", "root of the account tree", &self.root),
            hash("deposits", "running hash of consumed deposits", &self.deposits),
            hash("withdrawals", "running hash of withdrawals", &self.withdrawals),
            hash("sealed", "running hash of sealed batches", &self.sealed),
            number("count", "transfers, deposits and withdrawals so far", &self.count),
            hash("domain", "chain and contract that signatures are bound to", &self.domain),
            number("operator", "index of the account that gets the fees", &self.operator),
            number("fees", "collected in the open batch", &self.fees),
            hash("data", "running hash of the open batch's data", &self.data),
            hash("point", "where the open batch's data is evaluated; 0 between batches", &self.point),
            hash("evaluation", "value of the open batch's data at the point", &self.evaluation),
        ]
    }
}

/// All digits, the most significant one first.
fn hexadecimal(value: &Fr) -> String {
    value.to_bytes().iter().rev().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The element as a number, if it is below 2^128.
fn to_u128(value: &Fr) -> Option<u128> {
    let bytes = value.to_bytes();
    let (low, high) = bytes.split_first_chunk::<16>()?;
    let number = u128::from_le_bytes(*low);
    (high.iter().all(|byte| *byte == 0) && Fr::from_u128(number) == *value).then_some(number)
}

impl From<[Fr; ARITY]> for State {
    fn from(elements: [Fr; ARITY]) -> Self {
        let [root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation] = elements;
        Self { root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation }
    }
}

impl TryFrom<&[Fr]> for State {
    type Error = Error;

    /// # Errors
    /// [`Error::Length`] for any number of elements but [`ARITY`].
    fn try_from(elements: &[Fr]) -> Result<Self, Error> {
        let wrong = Error::Length { what: "state", expected: ARITY, found: elements.len() };
        <[Fr; ARITY]>::try_from(elements).map(Self::from).map_err(|_| wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::testing::index;

    #[test]
    fn elements_come_back_in_their_order() {
        let elements: [Fr; ARITY] = std::array::from_fn(|i| Fr::from(i as u64));
        let state = State::try_from(&elements[..]).expect("eleven elements");
        assert_eq!(state.to_elements(), elements);
        assert!(!state.is_between_batches());
        for length in [0, 10, 12] {
            let error = State::try_from(&vec![Fr::ZERO; length][..]).expect_err("another length");
            assert!(matches!(error, Error::Length { expected: 11, found, .. } if found == length));
        }
    }

    #[test]
    fn each_of_the_last_four_elements_opens_a_batch() {
        let genesis = State::genesis(Fr::from(1), Fr::from(2), index(3));
        assert!(genesis.is_between_batches());
        for i in 7..ARITY {
            let mut elements = genesis.to_elements();
            elements[i] = Fr::ONE;
            assert!(!State::from(elements).is_between_batches());
        }
    }

    #[test]
    fn an_operator_beyond_the_tree_has_no_index() {
        let mut state = State::genesis(Fr::from(1), Fr::from(2), index((1 << 24) - 1));
        assert_eq!(state.operator_index(), Some(index((1 << 24) - 1)));
        for beyond in [Fr::from(1 << 24), Fr::from(1 << 32), -Fr::ONE] {
            state.operator = beyond;
            assert_eq!(state.operator_index(), None);
        }
    }

    #[test]
    fn domains_differ_by_chain_and_contract() {
        let (a, b) = (Address([1; 20]), Address([2; 20]));
        assert_ne!(State::domain(1, a), State::domain(2, a));
        assert_ne!(State::domain(1, a), State::domain(1, b));
    }

    #[test]
    fn it_is_described_in_words() {
        let mut state = State::genesis(Fr::from(255), Fr::from(2), index(3));
        state.fees = Fr::from_u128(1 << 90);
        state.count = -Fr::ONE;
        let fields = state.describe();
        let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value.clone());
        assert_eq!(value("root"), Some(format!("0x{}ff", "0".repeat(62))));
        assert_eq!(value("fees"), Some((1u128 << 90).to_string()));
        assert_eq!(value("operator"), Some("3".into()));
        assert!(value("count").is_some_and(|count| count.starts_with("0x30644e72")));
        assert_eq!(fields.len(), ARITY);
    }
}
