//! Budgets of functions to which tasks are posted.

use crowdfold_wire::PublicKey;

use super::SqliteStore;
use super::rows::{int, unsigned};
use super::write::{begin, end};
use crate::store::{Result, Spent};

impl SqliteStore {
    /// What a function was last asked for; nothing if it never was.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn push_spent(&self, function: PublicKey) -> Result<Spent> {
        let sql = "SELECT day, steps FROM push_budgets WHERE key = ?";
        let row = sqlx::query(sql).bind(&function.0[..]).fetch_optional(&self.readers).await?;
        row.map_or(Ok(Spent::default()), |row| Ok(Spent { day: unsigned(&row, 0)?, steps: unsigned(&row, 1)? }))
    }

    /// Writes down what a function was asked for.
    ///
    /// # Errors
    /// Those of every write.
    pub async fn set_push_spent(&self, function: PublicKey, spent: Spent) -> Result<()> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "INSERT INTO push_budgets (key, day, steps) VALUES (?, ?, ?) \
                   ON CONFLICT (key) DO UPDATE SET day = excluded.day, steps = excluded.steps";
        let query = sqlx::query(sql).bind(&function.0[..]).bind(int(spent.day)?).bind(int(spent.steps)?);
        query.execute(&mut *transaction).await?;
        end(transaction, &self.faults).await
    }
}
