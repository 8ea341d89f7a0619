//! The mempool: its rules one by one, and against a model that looks at everything each time.

use crowdfold_coordinator::sequencer::Refused;
use crowdfold_coordinator::sequencer::mempool::{Limits, Loss, Mempool, Offer, Sealed, Waiting};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: Limits = Limits { all: 6, account: 4, gap: 2, fee: 2, raise: 10 };
const RICH: Sealed = Sealed { nonce: 0, balance: 1_000 };

fn offer(account: u32, nonce: u32, fee: u64, received: u64) -> Offer<()> {
    Offer { account, nonce, fee, cost: u128::from(fee) + 10, received, item: () }
}

fn pool() -> Mempool<()> {
    Mempool::new(LIMITS, 0)
}

fn put(pool: &mut Mempool<()>, account: u32, nonce: u32, fee: u64) -> u64 {
    pool.insert(offer(account, nonce, fee, 0), RICH).expect("there is room").0
}

fn order(pool: &Mempool<()>, most: usize) -> Vec<(u32, u32)> {
    pool.best(most).into_iter().map(|waiting| (waiting.account, waiting.nonce)).collect()
}

fn refused(pool: &mut Mempool<()>, offer: Offer<()>, sealed: Sealed) -> Refused {
    let before = format!("{pool:?}");
    let error = pool.insert(offer, sealed).expect_err("it is refused");
    assert_eq!(format!("{pool:?}"), before, "a refused one changes nothing");
    error
}

#[test]
fn the_highest_fee_goes_first_within_the_order_of_nonces() {
    let mut pool = pool();
    put(&mut pool, 1, 1, 90);
    put(&mut pool, 2, 0, 5);
    put(&mut pool, 3, 0, 7);
    put(&mut pool, 4, 0, 5);
    put(&mut pool, 3, 1, 3);
    // Account 1 lacks nonce 0.
    assert_eq!(order(&pool, 9), [(3, 0), (2, 0), (4, 0), (3, 1)]);
    assert_eq!((pool.len(), pool.executable()), (5, 4));
    put(&mut pool, 1, 0, 4);
    assert_eq!(order(&pool, 9), [(3, 0), (2, 0), (4, 0), (1, 0), (1, 1), (3, 1)]);
    assert_eq!(order(&pool, 2), [(3, 0), (2, 0)]);
    assert_eq!(pool.len(), 6, "they stay");
}

#[test]
fn what_can_not_be_is_refused_with_what_would_help() {
    let mut pool = pool();
    assert_eq!(refused(&mut pool, offer(1, 0, 1, 0), RICH), Refused::FeeTooLow { least: 2, found: 1 });
    let used = Sealed { nonce: 5, balance: 1_000 };
    assert_eq!(refused(&mut pool, offer(1, 4, 9, 0), used), Refused::NonceUsed { next: 5, found: 4 });
    assert_eq!(refused(&mut pool, offer(1, 8, 9, 0), used), Refused::NonceGap { next: 5, most: 7, found: 8 });
    put(&mut pool, 1, 0, 9);
    // One more is there, so one more may come.
    assert_eq!(refused(&mut pool, offer(1, 4, 9, 0), RICH), Refused::NonceGap { next: 1, most: 3, found: 4 });
    let last = Sealed { nonce: u32::MAX - 1, balance: 1_000 };
    assert!(matches!(refused(&mut pool, offer(2, u32::MAX, 9, 0), last), Refused::NonceGap { .. }));
    (1..4).for_each(|nonce| _ = put(&mut pool, 1, nonce, 9));
    assert_eq!(refused(&mut pool, offer(1, 4, 9, 0), RICH), Refused::AccountFull { limit: 4 });
}

#[test]
fn all_that_waits_of_an_account_is_covered() {
    let mut pool = pool();
    let poor = Sealed { nonce: 0, balance: 50 };
    pool.insert(offer(1, 0, 10, 0), poor).expect("20 of 50");
    pool.insert(offer(1, 1, 10, 0), poor).expect("40 of 50");
    let short = Refused::Balance { balance: 50, pending: 40, needed: 20 };
    assert_eq!(refused(&mut pool, offer(1, 2, 10, 0), poor), short);
    // In place of one that took 20, 30 are there.
    pool.insert(offer(1, 1, 20, 0), poor).expect("50 of 50");
    let dear = Refused::Balance { balance: 50, pending: 20, needed: 32 };
    assert_eq!(refused(&mut pool, offer(1, 1, 22, 0), poor), dear);
    let endless = Offer { cost: u128::MAX, ..offer(2, 0, 10, 0) };
    let all = Sealed { nonce: 0, balance: u128::MAX - 1 };
    assert!(matches!(refused(&mut pool, endless, all), Refused::Balance { .. }));
}

#[test]
fn a_higher_fee_takes_the_place_of_a_lower_one() {
    let mut pool = pool();
    let first = put(&mut pool, 1, 0, 50);
    put(&mut pool, 1, 1, 50);
    assert_eq!(refused(&mut pool, offer(1, 0, 54, 0), RICH), Refused::ReplacementFee { least: 55, found: 54 });
    let (_, gone) = pool.insert(offer(1, 0, 55, 0), RICH).expect("ten percent more");
    let (gone, why) = gone.expect("the first one goes");
    assert_eq!((gone.id, why, pool.len()), (first, Loss::Replaced, 2));
    assert_eq!(order(&pool, 9), [(1, 0), (1, 1)]);
    // Of a small fee, ten percent are one at least.
    put(&mut pool, 2, 0, 3);
    assert_eq!(refused(&mut pool, offer(2, 0, 3, 0), RICH), Refused::ReplacementFee { least: 4, found: 3 });
}

#[test]
fn the_worst_makes_room_for_a_better_one() {
    let mut pool = pool();
    for (account, fee) in [(1, 9), (2, 5), (3, 5), (4, 7), (5, 8)] {
        put(&mut pool, account, 0, fee);
    }
    put(&mut pool, 7, 1, 100);
    let evict = |pool: &mut Mempool<()>, offer: Offer<()>| {
        let (_, gone) = pool.insert(offer, RICH).expect("it is better");
        let (gone, why) = gone.expect("it was full");
        assert_eq!((why, pool.len()), (Loss::GaveWay, 6));
        (gone.account, gone.nonce)
    };
    // What can't be executed gives way to what can, however high its fee is, and never the other way round.
    assert_eq!(evict(&mut pool, offer(8, 0, 3, 0)), (7, 1));
    assert_eq!(refused(&mut pool, offer(7, 1, 100, 0), RICH), Refused::Full { limit: 6 });
    // Equal is not better.
    assert_eq!(refused(&mut pool, offer(6, 0, 3, 0), RICH), Refused::Full { limit: 6 });
    assert_eq!(evict(&mut pool, offer(6, 0, 6, 0)), (8, 0));
    // Of two that are worth the same, the later one.
    assert_eq!(evict(&mut pool, offer(9, 0, 6, 0)), (3, 0));
    // Only the last one of an account.
    put_over(&mut pool, 2, 1, 50);
    assert_eq!(evict(&mut pool, offer(10, 0, 9, 0)), (6, 0));
}

/// Puts one into a full mempool.
fn put_over(pool: &mut Mempool<()>, account: u32, nonce: u32, fee: u64) {
    let (_, gone) = pool.insert(offer(account, nonce, fee, 0), RICH).expect("it is better");
    assert!(gone.is_some());
}

#[test]
fn an_account_does_not_push_out_its_own() {
    let mut pool = Mempool::new(Limits { all: 2, ..LIMITS }, 0);
    put(&mut pool, 1, 0, 5);
    put(&mut pool, 1, 1, 5);
    assert_eq!(refused(&mut pool, offer(1, 2, 50, 0), RICH), Refused::Full { limit: 2 });
}

#[test]
fn what_was_in_a_batch_is_gone_and_the_rest_is_covered() {
    let mut pool = pool();
    for nonce in 0..3 {
        put(&mut pool, 1, nonce, 5);
    }
    assert_eq!(pool.advance(1, Sealed { nonce: 1, balance: 30 }), []);
    assert_eq!(order(&pool, 9), [(1, 1), (1, 2)]);
    let lost: Vec<_> = pool.advance(1, Sealed { nonce: 1, balance: 29 }).into_iter().collect();
    assert!(matches!(&lost[..], [(Waiting { nonce: 2, .. }, Loss::Uncovered)]), "{lost:?}");
    assert_eq!(pool.advance(1, Sealed { nonce: 2, balance: 0 }), []);
    assert!(pool.is_empty() && pool.executable() == 0 && pool.oldest().is_none());
}

#[test]
fn what_waits_too_long_is_dropped() {
    let mut pool = pool();
    for (nonce, received) in [(0, 10), (1, 20), (2, 30)] {
        pool.insert(offer(1, nonce, 5, received), RICH).expect("there is room");
    }
    assert_eq!(pool.oldest(), Some(10));
    assert!(pool.expire(10).is_empty());
    let gone: Vec<u32> = pool.expire(20).into_iter().map(|(gone, _)| gone.nonce).collect();
    assert_eq!((gone, pool.executable(), pool.len()), (vec![0], 0, 2));
}

/// The same rules, by looking at everything.
#[derive(Debug, Default)]
struct Model {
    waiting: Vec<Waiting<()>>,
    sealed: BTreeMap<u32, Sealed>,
    next: u64,
}

impl Model {
    fn sealed(&self, account: u32) -> Sealed {
        self.sealed.get(&account).copied().unwrap_or(Sealed { nonce: 0, balance: 100 })
    }

    fn of(&self, account: u32) -> Vec<&Waiting<()>> {
        let mut own: Vec<_> = self.waiting.iter().filter(|waiting| waiting.account == account).collect();
        own.sort_by_key(|waiting| waiting.nonce);
        own
    }

    fn missing(&self, account: u32) -> u32 {
        let has = |nonce: u32| self.waiting.iter().any(|other| (other.account, other.nonce) == (account, nonce));
        (self.sealed(account).nonce..).find(|nonce| !has(*nonce)).expect("few wait")
    }

    fn can(&self, waiting: &Waiting<()>) -> bool {
        waiting.nonce < self.missing(waiting.account)
    }

    fn remove(&mut self, id: u64) -> Waiting<()> {
        let at = self.waiting.iter().position(|waiting| waiting.id == id).expect("it waits");
        self.waiting.remove(at)
    }

    /// Its number and that of who had to go; `None` if it is refused.
    fn insert(&mut self, offer: &Offer<()>) -> Option<(u64, Option<u64>)> {
        let (account, nonce) = (offer.account, offer.nonce);
        let (sealed, missing) = (self.sealed(account), self.missing(account));
        let before = self.of(account).into_iter().find(|waiting| waiting.nonce == nonce).cloned();
        let others: u128 = self.of(account).iter().filter(|w| w.nonce != nonce).map(|w| w.cost).sum();
        let mut is_fine = offer.fee >= LIMITS.fee && (sealed.nonce..=missing + LIMITS.gap).contains(&nonce);
        is_fine &= others + offer.cost <= sealed.balance;
        is_fine &= match &before {
            Some(before) => offer.fee >= before.fee + (before.fee * LIMITS.raise / 100).max(1),
            None => self.of(account).len() < LIMITS.account,
        };
        if !is_fine {
            return None;
        }
        let mut gone = before.map(|before| before.id);
        if gone.is_none() && self.waiting.len() == LIMITS.all {
            let is_last = |w: &&Waiting<()>| self.of(w.account).last().is_some_and(|last| last.id == w.id);
            let least = self.waiting.iter().filter(is_last).filter(|w| w.account != account);
            let least = least.min_by_key(|w| (self.can(w), w.fee, std::cmp::Reverse(w.id)))?;
            if (self.can(least), least.fee) >= (nonce <= missing, offer.fee) {
                return None;
            }
            gone = Some(least.id);
        }
        gone.into_iter().for_each(|id| _ = self.remove(id));
        let (id, Offer { fee, cost, received, item, .. }) = (self.next, offer.clone());
        self.next += 1;
        self.waiting.push(Waiting { id, account, nonce, fee, cost, received, item });
        Some((id, gone))
    }

    fn best(&self) -> Vec<u64> {
        let mut sealed: BTreeMap<u32, u32> = BTreeMap::new();
        let mut best = Vec::new();
        loop {
            let next = |account: u32| sealed.get(&account).copied().unwrap_or(self.sealed(account).nonce);
            let ready = self.waiting.iter().filter(|waiting| waiting.nonce == next(waiting.account));
            let Some(first) = ready.max_by_key(|w| (w.fee, std::cmp::Reverse(w.id))) else { return best };
            best.push(first.id);
            sealed.insert(first.account, first.nonce + 1);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer {
        account: u32,
        nonce: u32,
        fee: u64,
        amount: u128,
    },
    /// The first so many are sealed, and accounts are paid.
    Seal {
        count: usize,
        paid: u128,
    },
    Expire {
        age: u64,
    },
    Refuse,
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u32..4, 0u32..9, 0u64..14, 0u128..30)
            .prop_map(|(account, nonce, fee, amount)| Step::Offer { account, nonce, fee, amount }),
        2 => (0usize..5, 0u128..40).prop_map(|(count, paid)| Step::Seal { count, paid }),
        1 => (0u64..20).prop_map(|age| Step::Expire { age }),
        1 => Just(Step::Refuse),
    ]
}

fn apply(pool: &mut Mempool<()>, model: &mut Model, step: &Step, now: u64) {
    match *step {
        Step::Offer { account, nonce, fee, amount } => {
            let offer = Offer { account, nonce, fee, cost: amount + u128::from(fee), received: now, item: () };
            let sealed = model.sealed(account);
            let is_taken = pool.check(&offer, sealed).is_ok();
            let done = pool.insert(offer.clone(), sealed).ok().map(|(id, gone)| (id, gone.map(|(gone, _)| gone.id)));
            assert_eq!((done, is_taken), (model.insert(&offer), done.is_some()), "{offer:?}");
        }
        Step::Seal { count, paid } => {
            let best: Vec<u64> = pool.best(count).iter().map(|waiting| waiting.id).collect();
            for account in 0..4 {
                let mut sealed = model.sealed(account);
                sealed.balance += paid;
                model.sealed.insert(account, sealed);
            }
            for id in best {
                let done = model.remove(id);
                let mut sealed = model.sealed(done.account);
                assert_eq!(sealed.nonce, done.nonce);
                sealed = Sealed { nonce: done.nonce + 1, balance: sealed.balance - done.cost };
                model.sealed.insert(done.account, sealed);
            }
            for account in 0..4 {
                assert_eq!(pool.advance(account, model.sealed(account)), [], "what was covered stays covered");
            }
        }
        Step::Expire { age } => {
            let before = now.saturating_sub(age);
            let mut gone: Vec<u64> = pool.expire(before).iter().map(|(gone, _)| gone.id).collect();
            gone.sort_unstable();
            let old: Vec<u64> = model.waiting.iter().filter(|w| w.received < before).map(|w| w.id).collect();
            assert_eq!(gone, old);
            old.into_iter().for_each(|id| _ = model.remove(id));
        }
        Step::Refuse => {
            if let Some(first) = pool.best(1).first().map(|first| (first.id, first.account, first.nonce)) {
                pool.refuse(first.1, first.2);
                model.remove(first.0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(arb_step(), 1..60)) {
        let (mut pool, mut model) = (pool(), Model::default());
        for (now, step) in (0..).zip(&steps) {
            apply(&mut pool, &mut model, step, now);
            prop_assert_eq!(pool.len(), model.waiting.len());
            prop_assert!(pool.len() <= LIMITS.all);
            let executable = model.waiting.iter().filter(|waiting| model.can(waiting)).count();
            prop_assert_eq!(pool.executable(), executable);
            let best: Vec<u64> = pool.best(usize::MAX).iter().map(|waiting| waiting.id).collect();
            prop_assert_eq!(&best, &model.best());
            let oldest = model.waiting.iter().map(|waiting| waiting.received).min();
            prop_assert_eq!(pool.oldest(), oldest);
            let accounts: std::collections::BTreeSet<u32> = model.waiting.iter().map(|w| w.account).collect();
            prop_assert_eq!(pool.accounts(), accounts.len());
        }
        // Put back one by one, it is the same.
        let mut again = Mempool::new(LIMITS, 0);
        for waiting in &model.waiting {
            let account = waiting.account;
            prop_assert!(again.restore(waiting.clone(), model.sealed(account)).is_none());
        }
        let ids = |pool: &Mempool<()>| pool.best(usize::MAX).iter().map(|waiting| waiting.id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&again), ids(&pool));
        prop_assert!(again.next_id() <= pool.next_id());
    }
}
