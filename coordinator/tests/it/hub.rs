//! The loop that decides, without provers: what it does with what is stored.

use crate::store_world::{Folder, NOW, World, add_client, job_of, payout, range, run, write_job};
use crowdfold_coordinator::bus::LocalBus;
use crowdfold_coordinator::catalog::Catalog;
use crowdfold_coordinator::hub::{Around, Clock, Command, Hub, INBOX, JobView, View};
use crowdfold_coordinator::metrics::Metrics;
use crowdfold_coordinator::store::{Accepted, Options, Record, Seen, Storage, Store, StoreError};
use crowdfold_sched::{ClientId, Config, JobEnd, JobId, Millis, Verdict};
use crowdfold_wire::PublicKey;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A hub that runs, and knows no program.
struct Running {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<View>>,
}

impl Running {
    async fn start(storage: &Arc<Storage>) -> Self {
        let (done, worked) = mpsc::unbounded_channel();
        let around = Around {
            storage: Arc::clone(storage),
            catalog: Catalog::default(),
            clock: Clock::new(),
            bus: Arc::new(LocalBus::new(storage.store.epoch())),
            metrics: Metrics::new(),
        };
        let started = Hub::start(around, Config::default(), done).await;
        let (hub, view) = started.expect("what is missing pauses jobs and stops nothing");
        let (commands, inbox) = mpsc::channel(INBOX);
        tokio::spawn(async { hub.run(inbox, worked).await.expect("nothing here stops it") });
        Self { commands, view }
    }

    async fn cancel(&self, job: JobId) -> oneshot::Receiver<bool> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Cancel(job, answer)).await.expect("it runs");
        answered
    }

    /// Waits until a job is not shown any more.
    async fn gone(&mut self, job: JobId) {
        self.view.wait_for(|view| !view.jobs.contains_key(&job)).await.expect("it runs");
    }
}

/// A job of eight steps with that deadline, of a program that nobody has.
async fn add(storage: &Storage, client: ClientId, seed: u32, deadline: Millis) -> JobId {
    let number = storage.store.job_number().await.expect("there are numbers");
    let data = write_job(storage, number, 8).await.expect("there is room");
    let mut job = job_of(data, client, 0);
    job.spec.deadline = deadline;
    job.name.job_id[..4].copy_from_slice(&seed.to_le_bytes());
    job.key = None;
    let Accepted::New(job) = storage.store.add_job(&job).await.expect("there is room") else { panic!("it is new") };
    job
}

async fn end(storage: &Storage, job: JobId) -> Option<JobEnd> {
    storage.store.job(job).await.expect("readable").expect("it is there").ended.map(|ended| ended.end)
}

#[test]
fn jobs_whose_parameters_are_missing_are_paused() {
    let folder = Folder::new("paused");
    run(async {
        let world = World::new(&folder).await;
        let spare = world.prove(range(2, 6), 1, Verdict::Spare { owed: 3 }).await.expect("it is valid");
        let storage = Arc::new(world.storage);
        let open = add(&storage, world.client, 7, Millis(u64::MAX >> 1)).await;
        let soon = add(&storage, world.client, 8, Millis(Clock::new().now().0 + 300)).await;
        let mut hub = Running::start(&storage).await;
        let shown = JobView { steps: 8, covered: 0, ranges: 0, paused: true };
        assert_eq!(hub.view.borrow().jobs.get(&open), Some(&shown));

        // The world's job was over long before. That needs no parameters, nor does paying for its spare.
        assert_eq!(end(&storage, world.job).await, Some(JobEnd::Expired));
        let found = storage.store.proof(spare).await.expect("readable").expect("it is there");
        assert_eq!(found.verdict, Some(Verdict::Compensated { steps: 3 }));

        hub.gone(soon).await;
        assert_eq!((end(&storage, soon).await, end(&storage, open).await), (Some(JobEnd::Expired), None));
        assert_eq!(hub.cancel(open).await.await, Ok(true));
        assert_eq!(end(&storage, open).await, Some(JobEnd::Cancelled));
        hub.gone(open).await;
        assert_eq!(hub.cancel(open).await.await, Ok(false));
    });
}

/// Takes all the room that a database has.
async fn fill(storage: &Storage) {
    let (mut group, mut number) = (256, 0_u64);
    while group > 0 {
        let seen = |number: u64| {
            let mut key = [0xff; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            Seen { key: PublicKey(key), payout: payout(1), at: NOW }
        };
        let provers: Vec<Seen> = (number..number + group).map(seen).collect();
        match storage.store.seen(&provers).await {
            Ok(_) => number += group,
            Err(StoreError::Full { .. }) => group /= 2,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_database_is_waited_for() {
    const JOBS: u32 = 100;
    let folder = Folder::new("full");
    run(async {
        let options = Options { database_pages: Some(160), ..Options::default() };
        let storage = Arc::new(folder.open_with(options).await.expect("it can be opened"));
        let client = add_client(&storage, 1).await.expect("there is room");
        let mut jobs = Vec::new();
        for seed in 0..JOBS {
            jobs.push(add(&storage, client, seed, Millis(u64::MAX >> 1)).await);
        }
        let hub = Running::start(&storage).await;
        fill(&storage).await;
        let ended = |&job: &JobId| {
            let reason = "its client cancelled it".to_owned();
            Record::Ended { job, end: JobEnd::Cancelled, reason, at: NOW }
        };
        let records: Vec<Record> = jobs.iter().map(ended).collect();
        let full = storage.store.commit(&records).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        let mut answers = Vec::new();
        for job in &jobs {
            answers.push(hub.cancel(*job).await);
        }
        // Somebody makes room, and nobody has to do more.
        let database = SqliteConnectOptions::new().filename(folder.path("data").join("database"));
        let database = SqlitePool::connect_with(database).await.expect("it is there");
        sqlx::query("DELETE FROM provers").execute(&database).await.expect("nothing refers to them");
        for answer in answers {
            assert_eq!(answer.await, Ok(true));
        }
        for job in jobs {
            assert_eq!(end(&storage, job).await, Some(JobEnd::Cancelled));
        }
    });
}
