//! How many steps a function is asked for in a day.

use crowdfold_sched::Millis;
use crowdfold_wire::PublicKey;

use crate::store::{Spent, SqliteStore, StoreError};

/// Milliseconds of a day of UTC.
const DAY_MS: u64 = 86_400_000;

/// A function's budget. What is taken is written down before a task goes out, so that neither a restart nor a crash gives it
/// back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    function: PublicKey,
    daily: u64,
    spent: Spent,
}

/// The day of a moment. One that comes before another that was seen is taken for that one: a clock that is set back gives
/// nobody a second budget.
fn day(at: Millis) -> u64 {
    at.0 / DAY_MS
}

impl Budget {
    /// As it was left.
    pub(super) async fn open(store: &SqliteStore, function: PublicKey, daily: u64) -> Result<Self, StoreError> {
        Ok(Self { function, daily, spent: store.push_spent(function).await? })
    }

    fn on(&self, at: Millis) -> Spent {
        if day(at) > self.spent.day { Spent { day: day(at), steps: 0 } } else { self.spent }
    }

    /// Steps that are left.
    pub(super) fn left(&self, at: Millis) -> u64 {
        self.daily.saturating_sub(self.on(at).steps)
    }

    /// Milliseconds until there is more.
    pub(super) fn until_more(&self, at: Millis) -> u64 {
        ((self.on(at).day + 1) * DAY_MS).saturating_sub(at.0)
    }

    /// Takes steps, if so many are left.
    ///
    /// # Errors
    /// Those of every write; none are taken then.
    pub(super) async fn take(&mut self, store: &SqliteStore, at: Millis, steps: u64) -> Result<bool, StoreError> {
        if steps > self.left(at) {
            return Ok(false);
        }
        let spent = self.on(at);
        let spent = Spent { steps: spent.steps + steps, ..spent };
        store.set_push_spent(self.function, spent).await?;
        self.spent = spent;
        Ok(true)
    }

    /// Gives back what was taken and not used, if that was on the same day.
    ///
    /// # Errors
    /// Those of every write; nothing is given back then.
    pub(super) async fn give_back(&mut self, store: &SqliteStore, taken: Millis, steps: u64) -> Result<(), StoreError> {
        // What was taken on an earlier day than the last counts no more.
        if steps == 0 || day(taken) < self.spent.day {
            return Ok(());
        }
        let spent = Spent { steps: self.spent.steps.saturating_sub(steps), ..self.spent };
        store.set_push_spent(self.function, spent).await?;
        self.spent = spent;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, DAY_MS};
    use crate::store::{Options, Storage};
    use crowdfold_sched::Millis;
    use crowdfold_wire::PublicKey;

    const KEY: PublicKey = PublicKey([7; 32]);

    fn at(day: u64, ms: u64) -> Millis {
        Millis(day * DAY_MS + ms)
    }

    #[tokio::test]
    async fn a_budget_lasts_a_day_and_survives_a_restart() {
        let folder = std::env::temp_dir().join(format!("crowdfold-budget-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&folder);
        let storage = Storage::open(&folder, Options::default()).await.expect("a folder");
        let mut budget = Budget::open(&storage.store, KEY, 10).await.expect("readable");
        assert!(budget.take(&storage.store, at(5, 0), 7).await.expect("there is room"));
        assert!(!budget.take(&storage.store, at(5, 9), 4).await.expect("there is room"));
        assert_eq!((budget.left(at(5, 9)), budget.until_more(at(5, 9))), (3, DAY_MS - 9));
        budget.give_back(&storage.store, at(5, 0), 2).await.expect("there is room");
        storage.close().await;

        let storage = Storage::open(&folder, Options::default()).await.expect("a folder");
        let mut budget = Budget::open(&storage.store, KEY, 10).await.expect("readable");
        let other = Budget::open(&storage.store, PublicKey([8; 32]), 10).await.expect("readable");
        assert_eq!((budget.left(at(5, 10)), other.left(at(5, 10))), (5, 10));
        // A clock that goes back finds the same budget.
        assert_eq!(budget.left(at(4, 0)), 5);
        assert!(!budget.take(&storage.store, at(4, 0), 6).await.expect("there is room"));
        assert!(budget.take(&storage.store, at(6, 0), 6).await.expect("there is room"));
        // What was taken the day before is not of this day's.
        budget.give_back(&storage.store, at(5, 9), 5).await.expect("there is room");
        assert_eq!(budget.left(at(6, 1)), 4);
        storage.close().await;
        _ = std::fs::remove_dir_all(folder);
    }
}
