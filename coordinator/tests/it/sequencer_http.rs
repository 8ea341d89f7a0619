//! What wallets, explorers and operators see.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use crowdfold_coordinator::http::rollup::{admin_routes, routes};
use crowdfold_coordinator::sequencer::{Offered, Settings};
use crowdfold_fold::Fr;
use crowdfold_rollup::forms::{AccountProof, KeyText, TransactionForm, TransactionsFile, hexadecimal};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::sequencer_world::{BALANCE, World, domain, genesis, secret, settings, test, transfer};
use crate::store_world::Folder;

/// Status and body of an answer.
async fn ask(world: &World, method: &str, path: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, Vec<u8>) {
    let app = routes().merge(admin_routes(&world.sequencer)).with_state(world.sequencer.clone());
    let app: axum::Router = app.into();
    let request = Request::builder().method(method).uri(format!("/v1/rollup{path}")).header("content-type", kind);
    let answer = app.oneshot(request.body(body.into()).expect("a request")).await.expect("it answers");
    let status = answer.status();
    (status, answer.into_body().collect().await.expect("a body").to_bytes().to_vec())
}

async fn get(world: &World, path: &str) -> Value {
    let (status, body) = ask(world, "GET", path, "", Body::empty()).await;
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("JSON")
}

async fn fails(world: &World, method: &str, path: &str, body: Value, wanted: (StatusCode, &str)) -> String {
    let (status, answer) = ask(world, method, path, "application/json", body.to_string()).await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status, answer["error"].as_str()), (wanted.0, Some(wanted.1)), "{answer}");
    answer["message"].as_str().expect("a text").into()
}

async fn post(world: &World, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(world, "POST", path, "application/json", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(&answer).expect("JSON")
}

fn form(offered: &Offered) -> TransactionForm {
    let signer = secret(offered.signed.transaction().from().get()).public();
    TransactionForm::signed(&offered.signed, signer).expect("it is signed")
}

fn statuses(answer: &Value) -> Vec<(&str, &str)> {
    let text = |value: &'_ Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let results = answer["results"].as_array().expect("a list");
    results
        .iter()
        .map(|result| {
            assert_eq!(text(&result["message"]).is_empty(), result["error"].is_null());
            (result["status"].as_str().unwrap_or_default(), result["error"].as_str().unwrap_or_default())
        })
        .collect()
}

#[test]
fn transactions_are_taken_in_each_form() {
    let folder = Folder::new("seq-http-forms");
    genesis(&folder, 5);
    test(async {
        let world = World::new(&folder, settings()).await;
        let all: Vec<_> = (0..6).map(|nonce| transfer(2, 3, nonce, 5, 1)).collect();
        let one = serde_json::to_value(form(&all[0])).expect("JSON");
        let answer = post(&world, "/transactions", &one).await;
        assert_eq!(statuses(&answer), [("pending", "")]);
        assert_eq!(answer["results"][0]["hash"], json!(all[0].hash.to_string()));
        let list = json!([form(&all[0]), form(&all[1])]);
        let answer = post(&world, "/transactions", &list).await;
        assert_eq!(statuses(&answer), [("pending", ""), ("pending", "")]);
        assert_eq!(
            (&answer["results"][0]["duplicate"], &answer["results"][1]["duplicate"]),
            (&json!(true), &Value::Null)
        );
        let file = TransactionsFile::new(Some(domain()), vec![form(&all[2]), form(&all[3])]);
        let answer = post(&world, "/transactions", &serde_json::to_value(&file).expect("JSON")).await;
        assert_eq!(statuses(&answer), [("pending", ""), ("pending", "")]);
        let bytes = [all[4].signed.to_bytes(), all[5].signed.to_bytes()].concat();
        let (status, answer) = ask(&world, "POST", "/transactions", "application/octet-stream", bytes).await;
        let answer = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!((status, statuses(&answer)), (StatusCode::OK, vec![("pending", ""), ("pending", "")]));
        assert_eq!(post(&world, "/transactions", &json!([])).await, json!({ "results": [] }));
        assert_eq!(world.seal().await, 1);
        assert_eq!(world.batch(1).await.transactions, 6);
        world.stop().await;
    });
}

#[test]
fn what_is_wrong_is_said_of_each() {
    let folder = Folder::new("seq-http-wrong");
    genesis(&folder, 5);
    test(async {
        let world = World::new(&folder, Settings { request_transactions: 3, ..settings() }).await;
        let good = transfer(2, 3, 0, 5, 1);
        let mut unreadable = serde_json::to_value(form(&good)).expect("JSON");
        unreadable["signature"] = json!("ff".repeat(64));
        let deposit = json!({ "kind": "deposit", "key": KeyText::from(secret(2).public()), "amount": "5" });
        let answer = post(&world, "/transactions", &json!([unreadable, form(&good), deposit])).await;
        assert_eq!(statuses(&answer), [("refused", "malformed"), ("pending", ""), ("refused", "not_signed")]);
        let answer = post(&world, "/transactions", &json!([form(&transfer(2, 3, 99, 5, 1))])).await;
        assert_eq!(statuses(&answer), [("refused", "nonce_gap")]);

        let bad = (StatusCode::BAD_REQUEST, "bad_request");
        for body in [json!("x"), json!({ "kind": "gift" }), json!([1]), json!({ "form": "crowdfold-genesis" })] {
            fails(&world, "POST", "/transactions", body, bad).await;
        }
        let file = TransactionsFile::new(Some(domain() + Fr::from(1)), vec![form(&good)]);
        let file = serde_json::to_value(&file).expect("JSON");
        assert!(fails(&world, "POST", "/transactions", file, bad).await.contains(&hexadecimal(&domain())));
        let many = json!([form(&good), form(&good), form(&good), form(&good)]);
        fails(&world, "POST", "/transactions", many, (StatusCode::PAYLOAD_TOO_LARGE, "too_large")).await;
        for bytes in [vec![2], good.signed.to_bytes()[..100].to_vec(), [good.signed.to_bytes(), vec![1]].concat()] {
            let (status, _) = ask(&world, "POST", "/transactions", "application/octet-stream", bytes).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
        }
        let (status, _) = ask(&world, "POST", "/transactions", "application/json", vec![b' '; 9_000]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

        let missing = (StatusCode::NOT_FOUND, "not_found");
        for path in ["/accounts/77", "/batches/1", "/batches/1/data", "/sequences/1", "/sequences/1/proof"] {
            fails(&world, "GET", path, Value::Null, missing).await;
        }
        fails(&world, "GET", &format!("/transactions/0x{}", "00".repeat(32)), Value::Null, missing).await;
        let no_key = format!("/accounts/{}", "ff".repeat(32));
        for path in ["/accounts/x", "/accounts/-1", no_key.as_str(), "/transactions/0x12"] {
            fails(&world, "GET", path, Value::Null, bad).await;
        }
        world.stop().await;
    });
}

#[test]
fn a_transaction_is_followed_to_its_proof() {
    let folder = Folder::new("seq-http-follow");
    genesis(&folder, 5);
    test(async {
        let world = World::new(&folder, settings()).await;
        let one = transfer(2, 3, 0, 5, 1);
        post(&world, "/transactions", &json!([form(&one)])).await;
        let path = format!("/transactions/{}", one.hash);
        assert_eq!(get(&world, &path).await["status"], "pending");
        let state = get(&world, "/state").await;
        assert_eq!((&state["pending"], &state["batch"], &state["accounts"]), (&json!(1), &json!(0), &json!(5)));
        assert_eq!(state["policy"]["least_fee"], "1");
        let deposit = json!({ "key": KeyText::from(secret(2).public()), "amount": "55" });
        let deposits = json!({ "first": 0, "deposits": [deposit] });
        assert_eq!(post(&world, "/deposits", &deposits).await, json!({ "added": 1 }));
        assert_eq!(post(&world, "/deposits", &deposits).await, json!({ "added": 0 }));
        let gap = json!({ "first": 2, "deposits": [deposit] });
        fails(&world, "POST", "/deposits", gap, (StatusCode::CONFLICT, "conflict")).await;

        assert_eq!(post(&world, "/seal?close=true", &Value::Null).await, json!({ "batch": 1, "closed_sequence": 1 }));
        assert_eq!(post(&world, "/seal", &Value::Null).await, json!({ "batch": null, "closed_sequence": null }));
        let job = world.job(1).await.0;
        let receipt = get(&world, &path).await;
        let expected = json!(["included", 1, 1, 1, job]);
        let found = ["status", "batch", "position", "sequence", "job"].map(|field| receipt[field].clone());
        assert_eq!(json!(found), expected);
        let batch = get(&world, "/batches/1").await;
        let found = ["status", "transactions", "deposits", "steps", "data_bytes"].map(|field| batch[field].clone());
        assert_eq!(json!(found), json!(["proving", 2, 1, 1, 288]));
        let (status, data) = ask(&world, "GET", "/batches/1/data", "", Body::empty()).await;
        assert_eq!((status, data.len()), (StatusCode::OK, 288));

        world.prove(1).await;
        world.until("it is merged", async |world| world.sequence(1).await.root.is_some()).await;
        assert_eq!(get(&world, &path).await["status"], "proved");
        assert_eq!(get(&world, "/batches").await["batches"][0]["status"], "proved");
        let sequence = get(&world, "/sequences").await["sequences"][0].clone();
        assert_eq!((&sequence["status"], &sequence["last_batch"]), (&json!("proved"), &json!(1)));
        assert_eq!(get(&world, "/sequences/1").await, sequence);
        let (status, proof) = ask(&world, "GET", "/sequences/1/proof", "", Body::empty()).await;
        assert_eq!((status, &proof[..]), (StatusCode::OK, &crate::sequencer_world::part(world.job(1).await)[..]));

        // By index and by key, and true.
        let account = get(&world, "/accounts/2").await;
        let key = KeyText::from(secret(2).public());
        assert_eq!(get(&world, &format!("/accounts/{key}")).await, account);
        assert_eq!((&account["batch"], &account["next_nonce"]), (&json!(1), &json!(1)));
        let proof: AccountProof = serde_json::from_value(account["account"].clone()).expect("its form");
        let root = world.sequencer.view().snapshot.head().state.root;
        assert_eq!(proof.verify(root).expect("it is in the tree").balance, BALANCE + 55 - 6);
        assert_eq!(get(&world, "/state").await["root"], hexadecimal(&root));
        world.stop().await;
    });
}
