//! What administrators do while the coordinator runs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use crowdfold_sched::ClientId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::access::Admin;
use super::error::{ErrorBody, HttpError};
use super::extract::{Form, Path};
use super::{Answer, App};
use crate::chance;
use crate::store::{self, Client, NewClient, Store as _, TokenHash, limits};

/// What a token may do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// Order jobs and see its own.
    Client,
    /// Everything.
    Admin,
}

impl From<store::Role> for Role {
    fn from(role: store::Role) -> Self {
        match role {
            store::Role::Client => Self::Client,
            store::Role::Admin => Self::Admin,
        }
    }
}

/// A client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientBody {
    /// Its number.
    client: u64,
    /// Its name.
    name: String,
    /// What it may do.
    role: Role,
    /// Its share of the provers' work.
    weight: u32,
    /// When it was added, in milliseconds since 1970.
    created_ms: u64,
    /// Since when its token is void.
    revoked_ms: Option<u64>,
}

impl From<Client> for ClientBody {
    fn from(client: Client) -> Self {
        Self {
            client: client.id.0,
            name: client.name,
            role: client.role.into(),
            weight: client.weight,
            created_ms: client.created.0,
            revoked_ms: client.revoked.map(|at| at.0),
        }
    }
}

/// All clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientsBody {
    /// The oldest first, those that were revoked among them.
    clients: Vec<ClientBody>,
}

/// List clients.
#[utoipa::path(
    get, path = "/v1/clients", tag = "administration",
    responses((status = 200, body = ClientsBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn list(State(app): State<App>, _: Admin) -> Answer<Json<ClientsBody>> {
    let (mut after, mut clients) = (None, Vec::new());
    loop {
        let page = app.gateway.storage.store.clients(after, limits::PAGE).await?;
        let Some(last) = page.last() else { return Ok(Json(ClientsBody { clients })) };
        after = Some(last.id);
        clients.extend(page.into_iter().map(ClientBody::from));
    }
}

/// A client to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClientBody {
    /// Its name, which no other has.
    name: String,
    /// What it may do.
    role: Role,
    /// Its share of the provers' work, from 1.
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

/// A client that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenBody {
    /// Its number.
    client: u64,
    /// Its token, which is shown this once.
    token: String,
}

/// Add a client.
#[utoipa::path(
    post, path = "/v1/clients", tag = "administration", request_body = NewClientBody,
    responses((status = 201, body = TokenBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn add(
    State(app): State<App>,
    _: Admin,
    Form(body): Form<NewClientBody>,
) -> Answer<(StatusCode, Json<TokenBody>)> {
    if body.name.is_empty() || body.name.len() > limits::NAME_BYTES {
        return Err(HttpError::Bad(format!("a name has 1 to {} bytes", limits::NAME_BYTES)));
    }
    if body.weight == 0 || body.weight > crowdfold_sched::limits::WEIGHT {
        return Err(HttpError::Bad(format!("a weight is from 1 to {}", crowdfold_sched::limits::WEIGHT)));
    }
    let token: [u8; 32] = chance::bytes().map_err(|error| HttpError::Unavailable(error.to_string()))?;
    let role = match body.role {
        Role::Client => store::Role::Client,
        Role::Admin => store::Role::Admin,
    };
    let (created, hash) = (app.gateway.clock.now(), TokenHash(Sha256::digest(token).into()));
    let client = NewClient { name: body.name, role, token: hash, weight: body.weight, created };
    let id = app.gateway.storage.store.add_client(&client).await?;
    Ok((StatusCode::CREATED, Json(TokenBody { client: id.0, token: hex::encode(token) })))
}

/// Void a client's token.
///
/// Its jobs go on.
#[utoipa::path(
    delete, path = "/v1/clients/{client}", tag = "administration",
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn revoke(State(app): State<App>, _: Admin, Path(client): Path<u64>) -> Answer<StatusCode> {
    let store = &app.gateway.storage.store;
    // That it comes after the client before it is all that says whether there is one.
    let after = client.checked_sub(1).map(ClientId);
    let found = store.clients(after, 1).await?.into_iter().next();
    found.filter(|found| found.id.0 == client).ok_or(HttpError::NotFound("client"))?;
    store.revoke_client(ClientId(client), app.gateway.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A backup to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupBody {
    /// Its name: letters, digits, `-`, `_` and `.`, no `.` first; a folder of that name is made.
    name: String,
}

/// A backup that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeBody {
    /// Where it is.
    folder: String,
    /// Bytes of proofs, inputs and states that were copied.
    bytes: u64,
}

/// Make a backup.
///
/// All that is stored is copied, as it is at one moment, to a new folder of the folder for backups.
#[utoipa::path(
    post, path = "/v1/admin/backup", tag = "administration", request_body = BackupBody,
    responses((status = 200, body = MadeBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn backup(State(app): State<App>, _: Admin, Form(body): Form<BackupBody>) -> Answer<Json<MadeBody>> {
    let name = body.name;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(HttpError::Bad(
            "a backup's name has 1 to 100 letters, digits, `-`, `_` and `.`, no `.` first".into(),
        ));
    }
    let folder = app.settings.backups().join(name);
    // It goes on if whoever asked does not wait.
    let (storage, sequencer, to) = (app.gateway.storage.clone(), app.sequencer.clone(), folder.clone());
    let copied = tokio::spawn(async move {
        match sequencer {
            Some(sequencer) => Ok(sequencer.backup(&to).await?),
            None => Ok::<_, HttpError>(storage.backup(&to).await?),
        }
    });
    let bytes = copied.await.map_err(|_| HttpError::stopping())??;
    Ok(Json(MadeBody { folder: folder.display().to_string(), bytes }))
}
