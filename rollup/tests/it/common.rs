//! Folders, the binary, and small rollups.

use crowdfold_fold::{Address, Fr};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Account, Index, State};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Flags that name a rollup.
pub(crate) const ROLLUP: [&str; 4] =
    ["--chain-id", "31337", "--contract", "0x00000000000000000000000000000000000000c0"];

/// What [`ROLLUP`] makes of it.
pub(crate) fn domain() -> Fr {
    let mut contract = [0; 20];
    contract[19] = 0xc0;
    State::domain(31337, Address(contract))
}

/// An empty folder for the test of that name.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rollup-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The tool, run in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crowdfold-rollup"));
        command.args(arguments).current_dir(&self.0);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the tool starts")
    }

    /// What the tool prints when it succeeds.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// What the tool prints as errors when it ends with that code.
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8(output.stderr).expect("it prints text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        errors
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).expect("the folder can be written");
    }

    /// Makes accounts and transactions of a seed in `work`, and a store of the accounts.
    pub(crate) fn workload(&self, seed: &str, accounts: &str, transactions: &str, more: &[&str]) {
        let made =
            ["workload", "--seed", seed, "--accounts", accounts, "--transactions", transactions, "--out", "work"];
        self.run(&[&made, &ROLLUP[..], more].concat());
        let genesis = ["genesis", "--accounts", "work/genesis.json", "--operator", "0", "--out", "store"];
        self.run(&[&genesis[..], &ROLLUP].concat());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A failed test's folder stays to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(5)
}

pub(crate) fn index(number: u32) -> Index {
    Index::new(number).expect("below 2^24")
}

/// Requests over so many accounts, and the accounts.
pub(crate) fn workload(accounts: u32) -> (Workload<ChaCha20Rng>, Vec<Account>) {
    let params = WorkloadParams {
        accounts,
        domain: domain(),
        deposits: 0.2,
        withdrawals: 0.1,
        invalid: 0.05,
        ..WorkloadParams::default()
    };
    let workload = Workload::new(params, rng());
    let genesis = workload.genesis();
    (workload, genesis)
}
