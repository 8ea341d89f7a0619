//! Work for a rollup that looks like that of people, from a seed: for tests, simulations and measurements.

use super::account::{Account, Index};
use super::transaction::{Deposit, Request, SignedTransaction, Transaction};
use crate::eddsa::{PublicKey, SecretKey};
use crowdfold_fold::{Address, Fr};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::collections::VecDeque;

/// What a workload is like. The same parameters and random source give the same work, up to how a platform rounds
/// powers.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadParams {
    /// Accounts that exist from the beginning, at the indices from 0; at least two.
    pub accounts: u32,
    /// What each of them holds.
    pub balance: u128,
    /// Exponent of Zipf's law: the account of rank k takes part in proportion to `k^-exponent`. 0 makes all alike;
    /// payments between people have about 1.
    pub zipf_exponent: f64,
    /// Share of transfers.
    pub transfers: f64,
    /// Share of deposits.
    pub deposits: f64,
    /// Share of withdrawals.
    pub withdrawals: f64,
    /// How many of the deposits are for a key that has no account yet, from 0 to 1.
    pub new_keys: f64,
    /// Bits of the largest amount, from 1 to 64: the number of bits is uniform, so amounts are about log-uniform.
    pub amount_bits: u32,
    /// The largest fee; fees are uniform from 0.
    pub max_fee: u64,
    /// How many of the requests have to be refused, from 0 to 1.
    pub invalid: f64,
    /// What signatures are bound to.
    pub domain: Fr,
}

impl Default for WorkloadParams {
    fn default() -> Self {
        Self {
            accounts: 1000,
            balance: 1 << 80,
            zipf_exponent: 1.0,
            transfers: 0.9,
            deposits: 0.05,
            withdrawals: 0.05,
            new_keys: 0.5,
            amount_bits: 64,
            max_fee: 1000,
            invalid: 0.0,
            domain: Fr::from(0),
        }
    }
}

/// A request of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// What is asked for.
    pub request: Request,
    /// Whether it is executed, if all before it that should be are; otherwise it is refused.
    pub is_valid: bool,
}

/// An endless run of requests that follow each other: balances and nonces are kept track of, deposits get indices in
/// order.
#[derive(Clone, Debug)]
pub struct Workload<R> {
    params: WorkloadParams,
    rng: R,
    seed: [u8; 32],
    /// Of all accounts, by index.
    keys: Vec<SecretKey>,
    /// What all accounts hold, without fees that an operator collects, and their nonces.
    accounts: Vec<(u128, u32)>,
    popularity: Zipf,
    signed: VecDeque<WorkItem>,
}

/// Requests that are signed together, on the threads of rayon's current pool.
const CHUNK: usize = 256;

/// The secret key of an account of the workload with that seed.
pub fn secret_key(seed: [u8; 32], account: u32) -> SecretKey {
    let mut rng = ChaCha20Rng::from_seed(seed);
    rng.set_stream(account.into());
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    SecretKey::from_bytes(bytes)
}

impl<R: RngCore> Workload<R> {
    /// A workload whose secret keys and requests come from `rng`.
    ///
    /// # Panics
    /// For less than two accounts or more than indices, and for amounts of no bits or more than 64.
    pub fn new(params: WorkloadParams, mut rng: R) -> Self {
        assert!((2..=1 << Index::BITS).contains(&params.accounts), "from two accounts to 2^24");
        assert!((1..=64).contains(&params.amount_bits), "amounts have 1 to 64 bits");
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let keys = (0..params.accounts).into_par_iter().map(|account| secret_key(seed, account)).collect();
        let accounts = vec![(params.balance, 0); params.accounts as usize];
        let popularity = Zipf::new(params.accounts, params.zipf_exponent);
        Self { params, rng, seed, keys, accounts, popularity, signed: VecDeque::new() }
    }

    /// The accounts that exist from the beginning, at the indices 0, 1, 2 and so on.
    pub fn genesis(&self) -> Vec<Account> {
        let keys = self.keys.iter().take(self.params.accounts as usize);
        keys.map(|key| Account { key: key.public(), balance: self.params.balance, nonce: 0 }).collect()
    }

    /// The seed of [`secret_key`].
    pub fn seed(&self) -> [u8; 32] {
        self.seed
    }

    fn unit(&mut self) -> f64 {
        unit(&mut self.rng)
    }

    fn below(&mut self, bound: u64) -> u64 {
        // The bias is of no account for any bound that is used.
        ((u128::from(self.rng.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An account that exists: mostly by its popularity, one time in sixteen any that a deposit has created.
    fn account(&mut self) -> usize {
        let (first, all) = (self.params.accounts as usize, self.accounts.len());
        if all > first && self.below(16) == 0 {
            first + self.below((all - first) as u64) as usize
        } else {
            self.popularity.sample(&mut self.rng) as usize
        }
    }

    fn amount(&mut self) -> u128 {
        let bits = 1 + self.below(self.params.amount_bits.into());
        let top = 1u64 << (bits - 1);
        u128::from(top | (self.rng.next_u64() & (top - 1)))
    }

    /// What comes next, not signed yet.
    fn draft(&mut self) -> Draft {
        let WorkloadParams { transfers, deposits, withdrawals, .. } = self.params;
        let choice = self.unit() * (transfers + deposits + withdrawals);
        let is_invalid = self.unit() < self.params.invalid;
        if choice < deposits && !is_invalid {
            return self.deposit();
        }
        let fee = if self.params.max_fee == 0 { 0 } else { self.below(self.params.max_fee.saturating_add(1)) };
        let amount = self.amount();
        // Somebody who can pay; where nobody is soon found, there is too little money.
        let candidates: [usize; 16] = std::array::from_fn(|_| self.account());
        let Some(from) = candidates.into_iter().find(|account| self.accounts[*account].0 > u128::from(fee)) else {
            return self.deposit();
        };
        let amount = amount.min(self.accounts[from].0 - u128::from(fee));
        let to = self.account();
        let (index, nonce) = (index_of(from), self.accounts[from].1);
        let transaction = if choice < deposits + withdrawals && choice >= deposits {
            let mut address = [0; 20];
            self.rng.fill_bytes(&mut address);
            Transaction::Withdrawal { from: index, nonce, fee, amount, address: Address(address) }
        } else {
            Transaction::Transfer { from: index, to: index_of(to), nonce, fee, amount }
        };
        if is_invalid {
            return self.spoil(from, transaction);
        }
        self.accounts[from].0 -= amount + u128::from(fee);
        self.accounts[from].1 += 1;
        if matches!(transaction, Transaction::Transfer { .. }) {
            self.accounts[to].0 += amount;
        }
        Draft::Signed { signer: from, transaction, is_valid: true }
    }

    fn deposit(&mut self) -> Draft {
        let amount = self.amount();
        let is_new = self.unit() < self.params.new_keys && self.accounts.len() < 1 << Index::BITS;
        let account = if is_new {
            self.keys.push(secret_key(self.seed, self.keys.len() as u32));
            self.accounts.push((0, 0));
            self.accounts.len() - 1
        } else {
            self.account()
        };
        self.accounts[account].0 += amount;
        Draft::Deposit { key: self.keys[account].public(), amount }
    }

    /// Makes a mistake, in one of the ways people and attackers make them.
    fn spoil(&mut self, from: usize, transaction: Transaction) -> Draft {
        let (mut signer, mut spoiled) = (from, transaction);
        let mistake = self.below(4);
        if let Transaction::Transfer { nonce, amount, .. } | Transaction::Withdrawal { nonce, amount, .. } =
            &mut spoiled
        {
            match mistake {
                0 => *nonce = nonce.wrapping_add(1),
                1 => *nonce = nonce.wrapping_sub(1),
                2 => *amount = u128::MAX,
                _ => signer = (from + 1) % self.keys.len(),
            }
        }
        Draft::Signed { signer, transaction: spoiled, is_valid: false }
    }

    fn sign(&self, draft: &Draft) -> WorkItem {
        match draft {
            Draft::Deposit { key, amount } => {
                let deposit = Deposit { key: *key, amount: *amount };
                WorkItem { request: Request::Deposit(deposit), is_valid: true }
            }
            Draft::Signed { signer, transaction, is_valid } => {
                let signed = SignedTransaction::sign(*transaction, self.params.domain, &self.keys[*signer]);
                let signed = signed.expect("drafts are transfers or withdrawals");
                WorkItem { request: Request::Signed(signed), is_valid: *is_valid }
            }
        }
    }
}

impl<R: RngCore + Sync> Iterator for Workload<R> {
    type Item = WorkItem;

    /// Never ends.
    fn next(&mut self) -> Option<WorkItem> {
        if self.signed.is_empty() {
            let drafts: Vec<Draft> = (0..CHUNK).map(|_| self.draft()).collect();
            let signed: Vec<WorkItem> =
                drafts.par_iter().with_min_len(CHUNK / 32).map(|draft| self.sign(draft)).collect();
            self.signed.extend(signed);
        }
        self.signed.pop_front()
    }
}

/// A request without its signature.
enum Draft {
    Deposit { key: PublicKey, amount: u128 },
    Signed { signer: usize, transaction: Transaction, is_valid: bool },
}

fn index_of(account: usize) -> Index {
    u32::try_from(account).ok().and_then(Index::new).expect("accounts are created below 2^24 only")
}

/// A number from 0 to 1, below 1.
fn unit(rng: &mut impl RngCore) -> f64 {
    const BITS: u32 = f64::MANTISSA_DIGITS;
    (rng.next_u64() >> (u64::BITS - BITS)) as f64 / (1u64 << BITS) as f64
}

/// Zipf's law over accounts, in an order that does not follow their indices: popular accounts are no neighbours in the
/// tree.
#[derive(Clone, Debug)]
struct Zipf {
    /// Sums of the weights up to each rank.
    sums: Vec<f64>,
    stride: u64,
}

impl Zipf {
    fn new(accounts: u32, exponent: f64) -> Self {
        let weights = (1..=accounts).map(|rank| f64::from(rank).powf(-exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let accounts = u64::from(accounts);
        // The golden section spreads ranks well; coprime strides reach every account.
        let golden = (accounts as f64 * 0.618) as u64;
        let stride = (golden.max(1)..).find(|stride| gcd(*stride, accounts) == 1).expect("there are primes");
        Self { sums: sums.collect(), stride }
    }

    fn sample(&self, rng: &mut impl RngCore) -> u64 {
        let total = self.sums.last().copied().unwrap_or_default();
        let at = unit(rng) * total;
        let rank = self.sums.partition_point(|sum| *sum <= at).min(self.sums.len() - 1);
        rank as u64 * self.stride % self.sums.len() as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::{Executor, MemoryAccounts, Refusal, Verified};

    fn workload(params: WorkloadParams) -> Workload<ChaCha20Rng> {
        Workload::new(params, ChaCha20Rng::seed_from_u64(7))
    }

    /// Executes the work, and returns how many requests of each kind there were.
    fn execute(params: WorkloadParams, count: usize) -> [usize; 4] {
        let mut workload = workload(params.clone());
        let tree = MemoryAccounts::in_order(workload.genesis()).expect("few accounts");
        let mut executor = Executor::new(&tree);
        let mut kinds = [0; 4];
        for item in workload.by_ref().take(count) {
            let Ok(done) = match &item.request {
                Request::Deposit(deposit) => executor.deposit(deposit),
                Request::Signed(signed) => {
                    let index = signed.transaction().from().get() as usize;
                    let key = workload_key(&executor, index);
                    match Verified::new(*signed, key, params.domain) {
                        Ok(verified) => executor.execute(&verified),
                        Err(refusal) => Ok(Err(refusal)),
                    }
                }
            };
            assert_eq!(done.is_ok(), item.is_valid, "{done:?}");
            match (done, item.request) {
                (Err(_), _) => kinds[0] += 1,
                (Ok(receipt), _) => kinds[usize::from(receipt.transaction.kind())] += 1,
            }
        }
        kinds
    }

    fn workload_key(executor: &Executor<&MemoryAccounts>, index: usize) -> PublicKey {
        use crate::rollup::Accounts;
        let Ok(account) = executor.accounts().account(index_of(index));
        account.expect("drafts name accounts that exist").key
    }

    #[test]
    fn its_work_is_executed_or_refused_as_it_says() {
        let params = WorkloadParams { accounts: 20, invalid: 0.1, domain: Fr::from(5), ..WorkloadParams::default() };
        let [refused, transfers, deposits, withdrawals] = execute(params, 1000);
        assert!((50..200).contains(&refused), "{refused}");
        assert!(transfers > 600 && deposits > 10 && withdrawals > 10, "{transfers} {deposits} {withdrawals}");
    }

    #[test]
    fn poor_accounts_get_deposits() {
        let params = WorkloadParams { accounts: 2, balance: 0, new_keys: 0.0, ..WorkloadParams::default() };
        let [refused, _, deposits, _] = execute(params, 200);
        assert_eq!(refused, 0);
        assert!(deposits > 0);
    }

    #[test]
    fn shares_can_be_nothing_but_one_kind() {
        let only = |transfers, deposits, withdrawals| {
            execute(WorkloadParams { transfers, deposits, withdrawals, accounts: 5, ..WorkloadParams::default() }, 100)
        };
        assert_eq!(only(1.0, 0.0, 0.0), [0, 100, 0, 0]);
        assert_eq!(only(0.0, 1.0, 0.0), [0, 0, 100, 0]);
        assert_eq!(only(0.0, 0.0, 1.0), [0, 0, 0, 100]);
    }

    #[test]
    fn the_same_seed_gives_the_same_work() {
        let items = || workload(WorkloadParams::default()).take(300).collect::<Vec<_>>();
        assert_eq!(items(), items());
    }

    #[test]
    fn mistakes_are_of_all_sorts() {
        let params = WorkloadParams { accounts: 5, invalid: 1.0, ..WorkloadParams::default() };
        let mut workload = workload(params);
        let tree = MemoryAccounts::in_order(workload.genesis()).expect("few accounts");
        let mut found = [0; 3];
        for item in workload.by_ref().take(100) {
            let Request::Signed(signed) = item.request else { continue };
            let key = workload_key(&Executor::new(&tree), signed.transaction().from().get() as usize);
            let refusal = Verified::new(signed, key, Fr::from(0)).and_then(|verified| {
                let Ok(done) = Executor::new(&tree).execute(&verified);
                done.map(drop)
            });
            match refusal {
                Err(Refusal::BadSignature { .. }) => found[0] += 1,
                Err(Refusal::WrongNonce { .. }) => found[1] += 1,
                Err(Refusal::InsufficientBalance { .. }) => found[2] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(found.iter().all(|count| *count > 5), "{found:?}");
    }

    #[test]
    fn popularity_reaches_every_account_and_prefers_few() {
        let zipf = Zipf::new(10, 1.0);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut counts = [0; 10];
        (0..10_000).for_each(|_| counts[zipf.sample(&mut rng) as usize] += 1);
        // The first rank has 1 of 2.93 parts.
        assert!((3000..3900).contains(&counts[0]), "{counts:?}");
        assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
    }
}
