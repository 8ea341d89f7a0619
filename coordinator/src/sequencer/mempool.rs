//! Transactions that wait for their batch, in the order in which they are to be executed.
//!
//! Pure: no clock, no randomness, and every choice is the same for the same calls. An account's transactions go in the
//! order of their nonces; among the accounts whose next nonce is there the highest fee goes first, among equal fees the
//! one that came first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::Refused;

/// What may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in all. At it one makes room for a better one, or the new one is refused.
    pub all: usize,
    /// Transactions of one account. Beyond, only one of a nonce that waits already is taken.
    pub account: usize,
    /// How far a nonce may be ahead of the first one that is missing.
    pub gap: u32,
    /// The least fee.
    pub fee: u64,
    /// By how many percent a fee has to be higher to take the place of another for the same nonce; by 1 at least.
    pub raise: u64,
}

/// What is offered.
#[derive(Clone, Debug)]
pub struct Offer<T> {
    /// Who signed.
    pub account: u32,
    /// For which nonce.
    pub nonce: u32,
    /// What the operator gets.
    pub fee: u64,
    /// Amount and fee.
    pub cost: u128,
    /// When it came, in milliseconds.
    pub received: u64,
    /// What it is.
    pub item: T,
}

/// The account as the sealed batches left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its next nonce.
    pub nonce: u32,
    /// What it holds.
    pub balance: u128,
}

/// One that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// Its place in the order in which they came.
    pub id: u64,
    /// Who signed.
    pub account: u32,
    /// For which nonce.
    pub nonce: u32,
    /// What the operator gets.
    pub fee: u64,
    /// Amount and fee.
    pub cost: u128,
    /// When it came.
    pub received: u64,
    /// What it is.
    pub item: T,
}

/// Why one does not wait any more, without having been in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another for the same nonce pays more.
    Replaced,
    /// There was no room for all, and it was the least.
    GaveWay,
    /// It waited too long.
    Expired,
    /// The balance does not cover it any more.
    Uncovered,
}

impl Loss {
    /// A code that does not change.
    pub fn code(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::GaveWay => "gave_way",
            Self::Expired => "expired",
            Self::Uncovered => "balance",
        }
    }
}

/// One that does not wait any more, and why.
pub type Lost<T> = (Waiting<T>, Loss);

/// What waits of one account: never empty.
#[derive(Clone, Debug)]
struct Queue<T> {
    sealed: Sealed,
    cost: u128,
    waiting: BTreeMap<u32, Waiting<T>>,
}

impl<T> Queue<T> {
    /// How many can be executed one after the other.
    fn run(&self) -> usize {
        (self.sealed.nonce..=u32::MAX).zip(self.waiting.keys()).take_while(|(next, nonce)| next == *nonce).count()
    }

    /// The first nonce that is missing.
    fn missing(&self) -> u32 {
        self.sealed.nonce.saturating_add(u32::try_from(self.run()).unwrap_or(u32::MAX))
    }
}

/// How much the last one of an account is worth: whether it can be executed, its fee, the earlier the more.
type Worth = (bool, u64, Reverse<u64>);

/// The mempool.
#[derive(Clone, Debug)]
pub struct Mempool<T> {
    limits: Limits,
    next: u64,
    queues: BTreeMap<u32, Queue<T>>,
    /// The next of each account where it is there, the best first: fee, order, account.
    heads: BTreeSet<(Reverse<u64>, u64, u32)>,
    /// The last of each account, the least worth first.
    tails: BTreeSet<(Worth, u32)>,
    /// All, the oldest first: when, order, account, nonce.
    ages: BTreeSet<(u64, u64, u32, u32)>,
    /// How many can be executed.
    executable: usize,
}

impl<T> Mempool<T> {
    /// An empty one, whose first transaction is the one of that number.
    pub fn new(limits: Limits, next: u64) -> Self {
        Self {
            limits,
            next,
            queues: BTreeMap::new(),
            heads: BTreeSet::new(),
            tails: BTreeSet::new(),
            ages: BTreeSet::new(),
            executable: 0,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.ages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }

    /// How many of them could be executed now: those with no nonce missing before them.
    pub fn executable(&self) -> usize {
        self.executable
    }

    /// Accounts of which some wait.
    pub fn accounts(&self) -> usize {
        self.queues.len()
    }

    /// When the one that waits longest came.
    pub fn oldest(&self) -> Option<u64> {
        self.ages.first().map(|(received, ..)| *received)
    }

    /// The number of the next one.
    pub fn next_id(&self) -> u64 {
        self.next
    }

    /// The one of an account and nonce.
    pub fn get(&self, account: u32, nonce: u32) -> Option<&Waiting<T>> {
        self.queues.get(&account)?.waiting.get(&nonce)
    }

    /// Whether it would be taken.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, offer: &Offer<T>, sealed: Sealed) -> Result<(), Refused> {
        self.victim(offer, sealed).map(|_| ())
    }

    /// Checks an offer; returns the account whose last one has to make room for it, if one has to.
    fn victim(&self, offer: &Offer<T>, sealed: Sealed) -> Result<Option<u32>, Refused> {
        let Limits { all, account, gap, fee: least, raise } = self.limits;
        let Offer { nonce, fee, cost, .. } = *offer;
        if fee < least {
            return Err(Refused::FeeTooLow { least, found: fee });
        }
        if nonce < sealed.nonce {
            return Err(Refused::NonceUsed { next: sealed.nonce, found: nonce });
        }
        let queue = self.queues.get(&offer.account);
        let missing = queue.map_or(sealed.nonce, Queue::missing);
        if nonce == u32::MAX || nonce > missing.saturating_add(gap) {
            return Err(Refused::NonceGap { next: missing, most: missing.saturating_add(gap), found: nonce });
        }
        let before = queue.and_then(|queue| queue.waiting.get(&nonce));
        if let Some(before) = before {
            let step = (u128::from(before.fee) * u128::from(raise) / 100).max(1);
            let least = u128::from(before.fee) + step;
            if u128::from(fee) < least {
                return Err(Refused::ReplacementFee { least, found: fee });
            }
        } else if queue.is_some_and(|queue| queue.waiting.len() >= account) {
            return Err(Refused::AccountFull { limit: account });
        }
        let others = queue.map_or(0, |queue| queue.cost) - before.map_or(0, |before| before.cost);
        if cost > sealed.balance.saturating_sub(others) {
            return Err(Refused::Balance { balance: sealed.balance, pending: others, needed: cost });
        }
        if before.is_some() || self.len() < all {
            return Ok(None);
        }
        // Not an own one: what comes before it would only be there for the sake of what goes.
        let worth = (nonce <= missing, fee);
        let least = self.tails.iter().find(|(_, account)| *account != offer.account);
        match least {
            Some(((can, fee, _), account)) if (*can, *fee) < worth => Ok(Some(*account)),
            _ => Err(Refused::Full { limit: all }),
        }
    }

    /// Takes an offer. Returns its number, and who had to go for it.
    ///
    /// # Errors
    /// Why it is not taken: nothing changed then.
    pub fn insert(&mut self, offer: Offer<T>, sealed: Sealed) -> Result<(u64, Option<Lost<T>>), Refused> {
        let victim = self.victim(&offer, sealed)?;
        let evicted = victim.and_then(|account| self.pop_last(account)).map(|gone| (gone, Loss::GaveWay));
        let Offer { account, nonce, fee, cost, received, item } = offer;
        let id = self.next;
        self.next += 1;
        let replaced = self.put(Waiting { id, account, nonce, fee, cost, received, item }, sealed);
        Ok((id, evicted.or(replaced.map(|gone| (gone, Loss::Replaced)))))
    }

    /// Puts one back that waited before this run, unchecked. Returns one of the same account and nonce.
    pub fn restore(&mut self, waiting: Waiting<T>, sealed: Sealed) -> Option<Waiting<T>> {
        self.next = self.next.max(waiting.id + 1);
        self.put(waiting, sealed)
    }

    fn put(&mut self, waiting: Waiting<T>, sealed: Sealed) -> Option<Waiting<T>> {
        let (account, age) = (waiting.account, age(&waiting));
        let before = self.change(account, |queues| {
            let new = || Queue { sealed, cost: 0, waiting: BTreeMap::new() };
            let queue = queues.entry(account).or_insert_with(new);
            let cost = waiting.cost;
            let before = queue.waiting.insert(waiting.nonce, waiting);
            queue.cost = (queue.cost - before.as_ref().map_or(0, |before| before.cost)).saturating_add(cost);
            before
        });
        if let Some(before) = &before {
            self.ages.remove(&self::age(before));
        }
        self.ages.insert(age);
        before
    }

    /// Changes a queue, and what is known about its ends.
    fn change<R>(&mut self, account: u32, with: impl FnOnce(&mut BTreeMap<u32, Queue<T>>) -> R) -> R {
        if let Some(ends) = self.queues.get(&account).and_then(ends) {
            self.executable -= ends.run;
            ends.head.iter().for_each(|head| _ = self.heads.remove(head));
            self.tails.remove(&ends.tail);
        }
        let result = with(&mut self.queues);
        if let Some(ends) = self.queues.get(&account).and_then(ends) {
            self.executable += ends.run;
            self.heads.extend(ends.head);
            self.tails.insert(ends.tail);
        }
        result
    }

    /// Takes one out of a queue.
    fn remove(&mut self, account: u32, nonce: u32) -> Option<Waiting<T>> {
        let gone = self.change(account, |queues| {
            let queue = queues.get_mut(&account)?;
            let gone = queue.waiting.remove(&nonce)?;
            queue.cost -= gone.cost;
            if queue.waiting.is_empty() {
                queues.remove(&account);
            }
            Some(gone)
        })?;
        self.ages.remove(&age(&gone));
        Some(gone)
    }

    fn pop_last(&mut self, account: u32) -> Option<Waiting<T>> {
        let nonce = *self.queues.get(&account)?.waiting.last_key_value()?.0;
        self.remove(account, nonce)
    }

    /// Up to so many in the order in which they are to be executed. They stay.
    pub fn best(&self, most: usize) -> Vec<&Waiting<T>> {
        let key = |waiting: &Waiting<T>| (waiting.fee, Reverse(waiting.id), waiting.account, waiting.nonce);
        let heads = self.heads.iter().filter_map(|(_, _, account)| self.queues.get(account)?.waiting.values().next());
        let mut ready: BinaryHeap<_> = heads.map(key).collect();
        let mut best = Vec::with_capacity(most.min(self.executable));
        while best.len() < most
            && let Some((_, _, account, nonce)) = ready.pop()
        {
            best.extend(self.get(account, nonce));
            ready.extend(nonce.checked_add(1).and_then(|next| self.get(account, next)).map(key));
        }
        best
    }

    /// A batch was sealed, and left an account so. Those that were in it are taken out; what is not covered any more,
    /// the last first, is returned.
    pub fn advance(&mut self, account: u32, sealed: Sealed) -> Vec<Lost<T>> {
        let done: Vec<u32> = match self.queues.get(&account) {
            Some(queue) => queue.waiting.range(..sealed.nonce).map(|(nonce, _)| *nonce).collect(),
            None => return Vec::new(),
        };
        done.into_iter().for_each(|nonce| _ = self.remove(account, nonce));
        self.change(account, |queues| {
            if let Some(queue) = queues.get_mut(&account) {
                queue.sealed = sealed;
            }
        });
        let mut lost = Vec::new();
        while self.queues.get(&account).is_some_and(|queue| queue.cost > sealed.balance)
            && let Some(gone) = self.pop_last(account)
        {
            lost.push((gone, Loss::Uncovered));
        }
        lost
    }

    /// Takes out one that can't be executed.
    pub fn refuse(&mut self, account: u32, nonce: u32) {
        self.remove(account, nonce);
    }

    /// Takes out those that came before.
    pub fn expire(&mut self, before: u64) -> Vec<Lost<T>> {
        let old = self.ages.iter().take_while(|(received, ..)| *received < before);
        let old: Vec<(u32, u32)> = old.map(|(_, _, account, nonce)| (*account, *nonce)).collect();
        old.into_iter().filter_map(|(account, nonce)| Some((self.remove(account, nonce)?, Loss::Expired))).collect()
    }
}

fn age<T>(waiting: &Waiting<T>) -> (u64, u64, u32, u32) {
    (waiting.received, waiting.id, waiting.account, waiting.nonce)
}

/// What is known about both ends of a queue.
struct Ends {
    run: usize,
    head: Option<(Reverse<u64>, u64, u32)>,
    tail: (Worth, u32),
}

fn ends<T>(queue: &Queue<T>) -> Option<Ends> {
    let run = queue.run();
    let (first, last) = (queue.waiting.values().next()?, queue.waiting.values().next_back()?);
    Some(Ends {
        run,
        head: (run > 0).then_some((Reverse(first.fee), first.id, first.account)),
        tail: ((run == queue.waiting.len(), last.fee, Reverse(last.id)), last.account),
    })
}
