//! A crash at every point at which one leaves something else behind, crashes at random in the middle of anything, and
//! processes that are killed.

use crowdfold_coordinator::sequencer::{AccountName, Answer, Offered, Settings};
use crowdfold_coordinator::store::{BatchState, Faults, JobFilter, Place, Retention, Store as _};
use crowdfold_programs::rollup::{Deposit, Transaction};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::sequencer_world::{BALANCE, OPERATOR, World, genesis, index, part, prove, secret, settings, transfer};
use crate::store_world::{Folder, MUCH_LATER, run};

/// Accounts at first. Deposits go to the first of them.
const ACCOUNTS: u32 = 6;

fn two_in_a_sequence() -> Settings {
    Settings { sequence_batches: 2, ..settings() }
}

fn deposit(number: u64) -> Deposit {
    Deposit { key: secret((number % u64::from(ACCOUNTS)) as u32).public(), amount: 100 + u128::from(number) }
}

/// What was sent, and what was answered, so that it must be there after a crash.
#[derive(Debug, Default)]
struct Told {
    sent: Vec<Offered>,
    accepted: BTreeSet<usize>,
    deposits: u64,
    deposits_sent: u64,
    batches: u64,
    /// Sequences that had their root.
    merged: BTreeSet<u64>,
}

/// A simulated crash came.
struct Crash;

impl Told {
    async fn submit(&mut self, world: &World, transactions: &[Offered]) -> Result<(), Crash> {
        let first = self.sent.len();
        self.sent.extend(transactions);
        let answers = world.sequencer.submit(transactions.to_vec()).await.map_err(|_| Crash)?;
        for (at, answer) in (first..).zip(answers) {
            if matches!(answer, Answer::Accepted(_)) {
                self.accepted.insert(at);
            }
        }
        Ok(())
    }

    async fn deposit(&mut self, world: &World, count: u64) -> Result<(), Crash> {
        let all: Vec<_> = (self.deposits..self.deposits + count).map(|number| (number, deposit(number))).collect();
        self.deposits_sent = self.deposits_sent.max(self.deposits + count);
        world.sequencer.add_deposits(all).await.map_err(|_| Crash)?.expect("they follow");
        self.deposits += count;
        Ok(())
    }

    async fn seal(&mut self, world: &World, close: bool) -> Result<(), Crash> {
        let sealed = world.sequencer.seal(close).await.map_err(|_| Crash)?;
        self.batches = self.batches.max(sealed.batch.unwrap_or(0));
        Ok(())
    }

    /// Waits until all batches are jobs, and proves these.
    async fn prove(&mut self, world: &World) -> Result<(), Crash> {
        let store = &world.storage.store;
        // One may have been sealed that nobody was told of, because of a crash.
        self.batches = self.batches.max(world.sequencer.view().snapshot.head().batch);
        for number in 1..=self.batches {
            let has_job = async |world: &World| world.batch(number).await.job.is_some();
            if !world.comes(has_job).await {
                return Err(Crash);
            }
            let batch = store.batch(number).await.map_err(|_| Crash)?.ok_or(Crash)?;
            let job = batch.job.ok_or(Crash)?;
            if batch.state == BatchState::Proving {
                prove(&world.storage, job, part(job)).await.map_err(|_| Crash)?;
            }
        }
        world.sequencer.job_ended();
        Ok(())
    }

    /// Waits until all closed sequences have their root.
    async fn merge(&mut self, world: &World) -> Result<(), Crash> {
        for sequence in world.storage.store.sequences(None, 100).await.map_err(|_| Crash)? {
            if sequence.closed.is_some() {
                let number = sequence.number;
                let is_merged = async |world: &World| world.sequence(number).await.root.is_some();
                if !world.comes(is_merged).await {
                    return Err(Crash);
                }
                self.merged.insert(number);
            }
        }
        Ok(())
    }

    async fn collect(&self, world: &World) -> Result<(), Crash> {
        let all = Retention { job_ms: u64::MAX, root_ms: None, orphan_ms: 0, upload_ms: u64::MAX };
        world.storage.collect(MUCH_LATER, &all).await.map(|_| ()).map_err(|_| Crash)
    }

    /// A little of everything.
    async fn history(&mut self, world: &World) -> Result<(), Crash> {
        self.submit(world, &[transfer(2, 3, 0, 5, 1), transfer(3, 4, 0, 6, 2), transfer(2, 4, 1, 9, 3)]).await?;
        self.deposit(world, 2).await?;
        self.seal(world, false).await?;
        self.submit(world, &[transfer(2, 3, 2, 5, 1), transfer(4, 3, 1, 5, 4), transfer(5, 9, 0, 5, 4)]).await?;
        self.prove(world).await?;
        // One takes the place of another, one fills a gap.
        self.submit(world, &[transfer(2, 3, 2, 8, 2), transfer(4, 3, 0, 5, 4)]).await?;
        self.seal(world, false).await?;
        self.prove(world).await?;
        self.merge(world).await?;
        self.collect(world).await?;
        self.submit(world, &[transfer(2, 3, 3, 5, 1)]).await?;
        self.seal(world, true).await
    }

    /// Whatever comes.
    async fn chance(&mut self, world: &World, rng: &mut ChaCha20Rng) -> Result<(), Crash> {
        let mut below = |bound: u64| rng.next_u64() % bound;
        match below(10) {
            0..=4 => {
                let mut all = Vec::new();
                for _ in 0..below(6) + 1 {
                    let from = below(u64::from(ACCOUNTS)) as u32;
                    let name = AccountName::Index(index(from));
                    let account = world.sequencer.account(name).await.map_err(|_| Crash)?.ok_or(Crash)?;
                    let pending = account.pending as u32;
                    // The next nonce, one of a pending one, or one ahead.
                    let nonce =
                        (account.next_nonce + below(3) as u32).saturating_sub(below(u64::from(pending) + 2) as u32);
                    let to = below(u64::from(ACCOUNTS)) as u32;
                    all.push(transfer(from, to, nonce, below(90) + 1, u128::from(below(1_000))));
                }
                self.submit(world, &all).await
            }
            5 => self.deposit(world, below(3) + 1).await,
            6 | 7 => self.seal(world, false).await,
            8 => self.prove(world).await,
            _ => {
                self.seal(world, true).await?;
                self.prove(world).await?;
                self.merge(world).await?;
                self.collect(world).await
            }
        }
    }

    /// What was told is there, before anything goes on.
    async fn verify(&self, world: &World) {
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
        let head = world.sequencer.view().snapshot.head().batch;
        assert!(head >= self.batches, "batch {} is lost", self.batches);
        for at in &self.accepted {
            let receipt = world.receipt(&self.sent[*at]).await;
            if let Place::Dropped { why, .. } = receipt.place {
                assert!(why.reason == "replaced", "{why:?}");
            }
        }
        for sequence in &self.merged {
            assert!(world.sequence(*sequence).await.root.is_some());
        }
    }

    /// Everything ends in batches, jobs and proofs, once each.
    async fn finish(&mut self, world: &World) {
        let store = &world.storage.store;
        while world.sequencer.seal(true).await.expect("it answers").batch.is_some() {}
        self.batches = world.sequencer.view().snapshot.head().batch;
        assert!(self.prove(world).await.is_ok() && self.merge(world).await.is_ok());

        let mut places = BTreeMap::new();
        let mut balances = vec![BALANCE; ACCOUNTS as usize];
        let mut nonces = vec![0; ACCOUNTS as usize];
        let mut seen = BTreeSet::new();
        for (at, offered) in self.sent.iter().enumerate().filter(|(_, offered)| seen.insert(offered.hash)) {
            let found = store.transaction(offered.hash).await.expect("readable");
            let place = found.map(|receipt| receipt.place);
            let Some(Place::Included { batch, position, is_proved, .. }) = place else {
                let is_pending = place == Some(Place::Pending);
                let was_told = self.accepted.contains(&at) && !is_pending;
                assert!(!was_told || matches!(&place, Some(Place::Dropped { why, .. }) if why.reason == "replaced"));
                continue;
            };
            assert!(is_proved && places.insert((batch, position), offered.hash).is_none());
            let Transaction::Transfer { from, to, fee, amount, .. } = *offered.signed.transaction() else {
                panic!("only transfers were sent")
            };
            balances[from.get() as usize] -= amount + u128::from(fee);
            balances[to.get() as usize] += amount;
            balances[OPERATOR as usize] += u128::from(fee);
            nonces[from.get() as usize] += 1;
        }
        let mut executed = 0;
        let mut jobs = BTreeSet::new();
        let mut before = None;
        for number in 1..=self.batches {
            let batch = world.batch(number).await;
            executed += batch.transactions;
            let job = store.job(batch.job.expect("it has one")).await.expect("readable").expect("it is there");
            assert!(jobs.insert(job.id()) && batch.attempt == 1);
            assert_eq!((job.name.job_id, &job.end), (batch.chain_job, &batch.end));
            assert!(before.is_none_or(|end| end == job.start), "batch {number} follows the one before it");
            before = Some(job.end);
        }
        let deposits = executed - places.len() as u64;
        assert!((self.deposits..=self.deposits_sent).contains(&deposits), "{deposits} deposits");
        (0..deposits).map(deposit_of).for_each(|(account, amount)| balances[account] += amount);
        for account in 0..ACCOUNTS {
            use crowdfold_programs::rollup::Accounts as _;
            let found = world.sequencer.view().snapshot.account(index(account)).expect("readable").expect("it exists");
            let expected = (balances[account as usize], nonces[account as usize]);
            assert_eq!((found.balance, found.nonce), expected, "account {account}");
        }
        // No batch became two jobs.
        let Some(first) = jobs.first() else { return };
        let client = store.job(*first).await.expect("readable").map(|job| job.spec.client);
        let all = store
            .jobs(&JobFilter { client: Some(client.expect("it has one")), ..JobFilter::default() }, 1_000)
            .await
            .expect("readable");
        assert_eq!(all.len() as u64, self.batches);
        for sequence in store.sequences(None, 1_000).await.expect("readable") {
            let (root, ..) = sequence.root.expect("all are merged");
            let proof = world.storage.blobs.proof(root).await.expect("it is there");
            let mut parts = Vec::new();
            for number in sequence.batches.0..=sequence.batches.1 {
                parts.push(part(world.batch(number).await.job.expect("it has one")));
            }
            assert_eq!(proof, parts.concat());
        }
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
    }
}

fn deposit_of(number: u64) -> (usize, u128) {
    ((number % u64::from(ACCOUNTS)) as usize, deposit(number).amount)
}

/// Goes on after a crash without another, and sees that all is right.
async fn verify_all(told: &mut Told, folder: &Folder) {
    let world = World::new(folder, two_in_a_sequence()).await;
    told.verify(&world).await;
    told.finish(&world).await;
    told.collect(&world).await.ok().expect("it can be written");
    world.stop().await;
    crowdfold_rollup::store::check(&folder.path("accounts")).expect("each node is right");
}

/// Runs the history with a crash; says whether there was one, and how many points there are.
fn crash(n: u64) -> (bool, u64) {
    let folder = Folder::new(&format!("seq-crash-{n}"));
    genesis(&folder, ACCOUNTS);
    let faults = Faults::crash_at(n);
    let mut told = Told::default();
    let crashed = run(async {
        let Ok(world) = World::with(&folder, two_in_a_sequence(), faults.clone()).await else { return true };
        let crashed = told.history(&world).await.is_err();
        world.stop().await;
        crashed
    });
    let points = faults.passed();
    run(verify_all(&mut told, &folder));
    (crashed, points)
}

#[test]
fn nothing_is_lost_or_done_twice_after_a_crash_anywhere() {
    let (crashed, points) = crash(u64::MAX);
    assert!(!crashed && points > 100, "{points} points");
    let (next, crashes) = (AtomicU64::new(1), AtomicU64::new(0));
    // Most of the time goes to waiting for the disk, so several run at once.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n > points {
                        break;
                    }
                    crashes.fetch_add(u64::from(crash(n).0), Ordering::Relaxed);
                }
            });
        }
    });
    // The last batch may be handed over after the history's end.
    let crashes = crashes.into_inner();
    assert!(crashes + 20 > points, "{crashes} of {points} points");
}

#[test]
fn nothing_is_lost_or_done_twice_over_many_crashes() {
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > 12 {
                        break;
                    }
                    many_crashes(seed);
                }
            });
        }
    });
}

fn many_crashes(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = Folder::new(&format!("seq-crashes-{seed}"));
    genesis(&folder, ACCOUNTS);
    let mut told = Told::default();
    for _ in 0..5 {
        run(async {
            let faults = Faults::crash_at(5 + rng.next_u64() % 120);
            let Ok(world) = World::with(&folder, two_in_a_sequence(), faults).await else { return };
            told.verify(&world).await;
            for _ in 0..15 {
                if told.chance(&world, &mut rng).await.is_err() {
                    break;
                }
            }
            world.stop().await;
        });
    }
    run(verify_all(&mut told, &folder));
}

/// Set in the process that is killed: the test's folder.
const CHILD: &str = "CROWDFOLD_SEQUENCER_KILL";

/// One that is killed sends these, one after the other.
fn sent_of(number: u32) -> Offered {
    let from = 2 + number % 4;
    transfer(from, 2 + (number + 1) % 4, number / 4, 5 + u64::from(number % 7), 1)
}

async fn send_for_ever(folder: &Folder) {
    let settings = Settings { batch_transactions: 9, ..two_in_a_sequence() };
    let world = World::new(folder, settings).await;
    let mut next = 0;
    loop {
        let all: Vec<_> = (next..next + 4).map(sent_of).collect();
        for (number, answer) in (next..).zip(world.submit(&all).await) {
            // What the one before accepted is known.
            assert!(matches!(answer, Answer::Accepted(_) | Answer::Known(_)), "{answer:?}");
            let mut out = std::io::stdout().lock();
            writeln!(out, "accepted {number}").and_then(|()| out.flush()).expect("somebody reads it");
        }
        next += 4;
    }
}

#[test]
fn whatever_was_accepted_survives_being_killed() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return run(send_for_ever(&Folder::at(Path::new(&folder))));
    }
    let folder = Folder::new("seq-kill");
    genesis(&folder, ACCOUNTS);
    let mut most = 0;
    for round in 1..5 {
        let own = std::env::current_exe().expect("it is running");
        let mut child = Command::new(own)
            .args(["--exact", "sequencer_crash::whatever_was_accepted_survives_being_killed", "--nocapture"])
            .env(CHILD, folder.path(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this very test starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let said = |line: String| line.rsplit_once("accepted ")?.1.parse::<u32>().ok();
        // It goes on while this reads, and is killed wherever it is then.
        let number = lines.map_while(Result::ok).filter_map(said).nth(round * 37).expect("it has more to do");
        child.kill().expect("it is still running");
        child.wait().expect("it was started");
        most = most.max(number);
    }
    let mut told = Told { sent: (0..most + 400).map(sent_of).collect(), ..Told::default() };
    told.accepted = (0..=most as usize).collect();
    run(verify_all(&mut told, &folder));
}
