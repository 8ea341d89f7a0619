//! `push`.

use clap::Subcommand;
use crowdfold_coordinator::push::PushKey;
use serde_json::json;

use super::options::DataArgs;
use super::output::answer;

/// What to do about functions to which tasks are posted.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Print the public key that functions are set up with. It is made if there is none in the data folder.
    Key(DataArgs),
}

/// Does it.
pub(crate) fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Key(place) => {
            let key = PushKey::open(&place.settings()?.server.data)?.public().to_string();
            answer(json, &json!({ "key": key }), &key)
        }
    }
}
