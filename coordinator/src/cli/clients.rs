//! `client`.

use clap::Subcommand;
use crowdfold_coordinator::chance;
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::store::{self, Client, NewClient, Role, Storage, Store as _, TokenHash, limits};
use crowdfold_sched::ClientId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::exit::Exit;
use super::options::DataArgs;
use super::output::{answer, say};
use super::remote::{Remote, Token};

/// What to do with clients.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Add a client and print its token, which is shown this once.
    Add {
        /// Its name.
        name: String,
        /// Lets it see and cancel the jobs of all clients, add clients and make backups.
        #[arg(long)]
        admin: bool,
        /// Its share of the provers' work.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        weight: u32,
        #[command(flatten)]
        place: Place,
    },
    /// List the clients.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Void a client's token. Its jobs go on.
    Revoke {
        /// Its number.
        client: u64,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose clients.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    #[command(flatten)]
    data: DataArgs,
    /// A coordinator that runs, as https://prove.example; needs an administrator's token.
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
}

/// Does it.
pub(crate) async fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Add { name, admin, weight, place } => {
            let role = if *admin { Role::Admin } else { Role::Client };
            let added = match place.remote()? {
                Some(remote) => {
                    let order = json!({ "name": name, "role": role_name(role), "weight": weight });
                    remote.post_json("/v1/clients", &order)?
                }
                None => add(place, name, role, *weight).await?,
            };
            answer(json, &added, added["token"].as_str().unwrap_or_default())
        }
        Task::List { place } => {
            let list = match place.remote()? {
                Some(remote) => remote.get("/v1/clients", &[])?,
                None => json!({ "clients": list(place).await? }),
            };
            if json {
                return say(list);
            }
            list["clients"].as_array().into_iter().flatten().try_for_each(|client| say(line(client)))
        }
        Task::Revoke { client, place } => {
            match place.remote()? {
                Some(remote) => _ = remote.delete(&format!("/v1/clients/{client}"))?,
                None => revoke(place, *client).await?,
            }
            let text = format!("the token of client {client} is void");
            answer(json, &json!({ "client": client, "revoked": true }), text)
        }
    }
}

impl Place {
    fn remote(&self) -> anyhow::Result<Option<Remote>> {
        self.url.as_ref().map(|url| Remote::new(url, &self.token)).transpose()
    }

    async fn storage(&self) -> anyhow::Result<Storage> {
        Ok(Storage::open(&self.data.used_folder()?, store::Options::default()).await?)
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Admin => "admin",
    }
}

async fn add(place: &Place, name: &str, role: Role, weight: u32) -> anyhow::Result<Value> {
    let token: [u8; 32] = chance::bytes()?;
    let hash = TokenHash(Sha256::digest(token).into());
    let new = NewClient { name: name.into(), role, token: hash, weight, created: Clock::new().now() };
    // The first client may come before the coordinator ever ran.
    let storage = Storage::open(&place.data.settings()?.server.data, store::Options::default()).await?;
    let added = storage.store.add_client(&new).await;
    storage.close().await;
    Ok(json!({ "client": added?.0, "token": hex::encode(token) }))
}

async fn list(place: &Place) -> anyhow::Result<Vec<Value>> {
    let storage = place.storage().await?;
    let all = all(&storage).await;
    storage.close().await;
    let value = |client: &Client| {
        json!({
            "client": client.id.0, "name": client.name, "role": role_name(client.role), "weight": client.weight,
            "created_ms": client.created.0, "revoked_ms": client.revoked.map(|at| at.0),
        })
    };
    Ok(all?.iter().map(value).collect())
}

async fn all(storage: &Storage) -> store::Result<Vec<Client>> {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let page = storage.store.clients(clients.last().map(|client| client.id), limits::PAGE).await?;
        if page.is_empty() {
            return Ok(clients);
        }
        clients.extend(page);
    }
}

async fn revoke(place: &Place, client: u64) -> anyhow::Result<()> {
    let storage = place.storage().await?;
    let revoked = async {
        let is_known = all(&storage).await?.iter().any(|known| known.id == ClientId(client));
        if is_known {
            storage.store.revoke_client(ClientId(client), Clock::new().now()).await?;
        }
        anyhow::Ok(is_known)
    };
    let revoked = revoked.await;
    storage.close().await;
    if revoked? { Ok(()) } else { Err(Exit::NotFound.error(format!("there is no client {client}"))) }
}

/// A client in the list for people.
fn line(client: &Value) -> String {
    let text = |key: &str| client[key].as_str().unwrap_or_default().to_owned();
    let revoked = if client["revoked_ms"].is_null() { "" } else { "  revoked" };
    format!("{:>6}  {:6}  weight {}  {}{revoked}", client["client"], text("role"), client["weight"], text("name"))
}
