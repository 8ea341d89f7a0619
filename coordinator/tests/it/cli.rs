//! Settings, parameters and clients by the command line.

use crate::cli_world::{Ended, FILE, PROGRAM, Running, add_client, command, coordinator, shared};
use crate::store_world::Folder;
use group::{Curve as _, Group as _};
use halo2curves::bn256::{G1, G1Affine, G2};
use halo2curves::serde::SerdeObject as _;
use std::fs;
use std::process::Stdio;

#[test]
fn arguments_that_are_not_understood_end_with_2() {
    for arguments in [&["nothing"][..], &[], &["job", "show"], &["serve", "--target", "0"], &["backup"]] {
        let ended = coordinator(arguments);
        assert!(ended.code == 2 && ended.out.is_empty() && !ended.err.is_empty(), "{ended:?}");
    }
    assert!(coordinator(&["--help"]).done().contains("Exit codes:"));
    assert!(coordinator(&["--version"]).done().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_answer_that_does_not_arrive_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut config = command(&["config", "default"]);
    let ended = config.stdout(full).stderr(Stdio::piped()).spawn().expect("a process").wait_with_output();
    let ended = ended.expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && told.contains("standard output can't be written"), "{told}");
}

#[test]
fn the_file_of_settings_is_printed_and_checked() {
    let folder = Folder::new("cli-config");
    let file = folder.text("a.toml");
    fs::write(&file, coordinator(&["config", "default"]).done()).expect("a file");
    assert!(coordinator(&["config", "check", &file]).done().contains("is fine"));
    assert_eq!(coordinator(&["--json", "config", "check", &file]).json()["valid"], true);
    fs::write(&file, "[scheduler]\ntarget_s = 0\n").expect("a file");
    coordinator(&["config", "check", &file]).fails(2, &[&file, "line 2", "scheduler.target_s", "1 to 3600"]);
    fs::write(&file, "[server]\nlisten = 5\n").expect("a file");
    coordinator(&["config", "check", &file]).fails(2, &["line 2", "server.listen", "expected socket address"]);
    coordinator(&["config", "check", &folder.text("none")]).fails(3, &["none"]);
    coordinator(&["serve", "--config", &file]).fails(2, &["line 2"]);
}

#[test]
fn arguments_go_before_the_environment_and_that_before_the_file() {
    let folder = Folder::new("cli-show");
    let file = folder.text("a.toml");
    fs::write(&file, "[chain]\nid = 1\n[scheduler]\ntarget_s = 1\nmin_steps = 9\n").expect("a file");
    let mut show = command(&["--json", "config", "show", "--config", &file, "--target", "3", "--origin", "https://a"]);
    show.envs([("COORDINATOR_TARGET", "2"), ("COORDINATOR_CHAIN_ID", "2"), ("RUST_LOG", "debug")]);
    let shown = Ended::of(show).json();
    assert_eq!(shown["scheduler"], serde_json::json!({ "target_s": 3, "min_steps": 9, "native_merges": 0 }));
    assert_eq!((&shown["chain"]["id"], &shown["logs"]["filter"]), (&2.into(), &"debug".into()));
    assert_eq!(shown["server"]["origins"], serde_json::json!(["https://a"]));
    let text = coordinator(&["config", "show", "--config", &file]).done();
    fs::write(folder.path("b.toml"), text).expect("a file");
    coordinator(&["config", "check", &folder.text("b.toml")]).done();
    let mut bad = command(&["config", "show"]);
    bad.env("RUST_LOG", "a=b=c");
    Ended::of(bad).fails(2, &["logs.filter"]);
}

/// Powers of a tau that is 2: as insecure as those for development, but others.
fn other_powers(development: &[u8]) -> Vec<u8> {
    let count = (development.len() - 344) / 64;
    let powers: Vec<G1> =
        std::iter::successors(Some(G1::generator()), |power| Some(power.double())).take(count).collect();
    let mut points = vec![G1Affine::default(); count];
    G1::batch_normalize(&powers, &mut points);
    // The framing stays: 12 bytes, 52 of the first section, 12 before the points.
    let mut file = development[..76].to_vec();
    points.iter().for_each(|point| point.write_raw(&mut file).expect("memory"));
    file.extend(&development[file.len()..development.len() - 128]);
    G2::generator().double().to_affine().write_raw(&mut file).expect("memory");
    file
}

#[test]
fn parameters_are_made_checked_and_kept_when_others_take_their_place() {
    let folder = Folder::new("cli-params");
    let (out, srs) = (folder.text("params"), shared("dev.ptau"));
    let make = |srs: &str| coordinator(&["--json", "params", "make", PROGRAM, "--srs", srs, "--out", &out]);
    let made = make(&srs);
    assert!(made.err.contains("INSECURE"), "{made:?}");
    let made = made.json();
    let file = folder.text(&format!("params/{FILE}"));
    assert_eq!((&made["file"], &made["insecure"], &made["kept"]), (&file.clone().into(), &true.into(), &().into()));
    assert!(make(&srs).json()["kept"].is_null(), "the same take nobody's place");

    let other = folder.text("other.ptau");
    fs::write(&other, other_powers(&fs::read(&srs).expect("a file"))).expect("a file");
    let replaced = make(&other);
    assert!(replaced.err.contains("--sha256") && !replaced.err.contains("INSECURE"), "{replaced:?}");
    let replaced = replaced.json();
    let digest = made["parameters"].as_str().expect("a digest");
    let kept = folder.text(&format!("params/squarings+1+1~{}.params", &digest[..8]));
    assert_eq!(replaced["kept"], kept.as_str());
    assert_eq!(fs::read(&kept).expect("it is kept"), fs::read(shared(&format!("params/{FILE}"))).expect("a file"));
    assert!(make(&other).json()["kept"].is_null());

    let check = |file: &str, srs: &str| coordinator(&["--json", "params", "check", file, "--srs", srs]);
    let checked = check(&kept, &srs).json();
    assert_eq!((&checked["parameters"], &checked["compared"]), (&made["parameters"], &true.into()));
    assert!(checked["step_rows"].as_u64() > Some(10_000) && checked["program"] == PROGRAM, "{checked}");
    assert_eq!(check(&file, &other).json()["insecure"], false);
    coordinator(&["params", "check", &file, "--srs", &srs]).fails(10, &[&file, "these powers of tau give"]);
    coordinator(&["params", "check", &file, "--srs", &other, "--sha256", &"00".repeat(32)]).fails(10, &["was pinned"]);
}

#[test]
fn parameters_of_another_version_of_the_circuits_are_not_taken_for_these() {
    let folder = Folder::new("cli-params-version");
    let (out, srs) = (folder.text("params"), shared("dev.ptau"));
    let make = |program: &str| coordinator(&["params", "make", program, "--srs", &srs, "--out", &out]);
    make("squarings/1/2").done();
    // Those of a program of other rows, under the name of this one.
    let mut bytes = fs::read(folder.path("params/squarings+1+2.params")).expect("a file");
    let name = b"squarings/1/2";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("its name");
    bytes[at + name.len() - 1] = b'1';
    let file = folder.text(&format!("params/{FILE}"));
    fs::write(&file, &bytes).expect("a file");
    coordinator(&["params", "check", &file]).fails(10, &[&file, "another version"]);
    make(PROGRAM).fails(6, &[&file, "another version", "move it away"]);
    assert_eq!(fs::read(&file).expect("a file"), bytes);
}

#[test]
fn what_parameters_can_not_be_made_of_is_told() {
    let folder = Folder::new("cli-params-bad");
    let (out, srs) = (folder.text("params"), shared("dev.ptau"));
    let make = |program: &str, srs: &str| coordinator(&["params", "make", program, "--srs", srs, "--out", &out]);
    make("nothing/1", &srs).fails(3, &["nothing/1", "squarings/1/N"]);
    make(PROGRAM, &folder.text("none")).fails(3, &["none"]);
    coordinator(&["params", "make", PROGRAM, "--srs", &srs, "--out", &out, "--powers", "1024"]).fails(1, &["1024"]);
    fs::write(folder.path("bad.ptau"), &fs::read(&srs).expect("a file")[..1000]).expect("a file");
    make(PROGRAM, &folder.text("bad.ptau")).fails(10, &["bad.ptau", "ends inside"]);
    assert!(!folder.path("params").exists(), "nothing was written");

    let mut bytes = fs::read(shared(&format!("params/{FILE}"))).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = folder.text(FILE);
    fs::write(&bad, &bytes).expect("a file");
    coordinator(&["params", "check", &bad]).fails(10, &[&bad]);
    fs::rename(&bad, folder.path("unnamed")).expect("a file");
    coordinator(&["params", "check", &folder.text("unnamed")]).fails(3, &["unnamed", "there is no program"]);
    coordinator(&["params", "check", &folder.text("unnamed"), "--program", PROGRAM]).fails(10, &["unnamed"]);
    coordinator(&["params", "check", &folder.text("none"), "--program", PROGRAM]).fails(3, &["none"]);
}

#[test]
fn parameters_are_served_without_a_coordinator() {
    let mirror = Running::start(&["params", "serve", "--params", &shared("params"), "--listen", "127.0.0.1:0"]);
    coordinator(&["health", "--url", &mirror.url]).done();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let get = |path: &str| agent.get(format!("{}{path}", mirror.url)).call().expect("an answer");
    let text = get("/v1/programs").body_mut().read_to_string().expect("text");
    let programs: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&programs[0]["name"], &programs[0]["insecure"]), (&PROGRAM.into(), &true.into()));
    let id = programs[0]["parameters"].as_str().expect("a digest");
    let mut merge = get(&format!("/v1/parameters/{id}/merge"));
    assert!(merge.headers()["cache-control"].to_str().expect("text").contains("immutable"));
    assert_eq!(merge.headers()["access-control-allow-origin"], "*", "pages of other origins prove too");
    let merge = merge.body_mut().with_config().limit(1 << 30).read_to_vec().expect("bytes");
    assert_eq!(merge, fs::read(shared(&format!("params/{FILE}"))).expect("a file"));
    assert_eq!(get(&format!("/v1/parameters/{id}/fold")).status(), 200);
    for path in [format!("/v1/parameters/{id}/other"), format!("/v1/parameters/{}/fold", "0".repeat(64))] {
        assert_eq!(get(&path).status(), 404);
    }
    mirror.signal("-INT");
    assert_eq!(mirror.end().0, 0);

    let empty = Folder::new("cli-mirror");
    coordinator(&["params", "serve", "--params", &empty.text("")]).fails(3, &["coordinator params make"]);
}

#[test]
fn clients_are_added_listed_and_revoked_while_nobody_serves() {
    let folder = Folder::new("cli-clients");
    let data = folder.text("data");
    coordinator(&["client", "list", "--data", &data]).fails(3, &[&data]);
    assert!(!folder.path("data").exists(), "looking makes no folder");
    add_client(&folder, "alice");
    let added = coordinator(&["--json", "client", "add", "bob", "--admin", "--weight", "3", "--data", &data]).json();
    assert_eq!(added["token"].as_str().map(str::len), Some(64));
    coordinator(&["client", "add", "bob", "--data", &data]).fails(6, &["contradicts"]);
    let number = added["client"].as_u64().expect("a number").to_string();
    coordinator(&["client", "revoke", &number, "--data", &data]).done();
    coordinator(&["client", "revoke", "77", "--data", &data]).fails(3, &["no client 77"]);
    let list = coordinator(&["--json", "client", "list", "--data", &data]).json();
    let clients = list["clients"].as_array().expect("a list");
    let of = |key: &str| clients.iter().map(|client| client[key].to_string()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["\"alice\"", "\"bob\""]);
    assert_eq!(of("role"), ["\"client\"", "\"admin\""]);
    assert_eq!(of("weight"), ["1", "3"]);
    assert!(clients[0]["revoked_ms"].is_null() && clients[1]["revoked_ms"].is_u64());
    let text = coordinator(&["client", "list", "--data", &data]).done();
    assert!(text.lines().count() == 2 && text.contains("bob  revoked"), "{text}");
    let serving = Running::serve(&folder);
    coordinator(&["client", "list", "--data", &data]).fails(6, &["in use"]);
    serving.stop();
}

#[test]
fn serving_ends_with_0_by_a_signal_and_says_what_stands_in_its_way() {
    let folder = Folder::new("cli-serve");
    let (data, params) = (folder.text("data"), shared("params"));
    coordinator(&["serve", "--data", &data, "--params", &folder.text("none")]).fails(3, &["params make"]);
    for signal in ["-INT", "-TERM"] {
        let serving = Running::serve(&folder);
        coordinator(&["health", "--url", &serving.url]).done();
        coordinator(&["serve", "--data", &data, "--params", &params]).fails(6, &["in use by another process"]);
        let address = serving.url.strip_prefix("http://").expect("an address");
        let other = folder.text("other");
        coordinator(&["serve", "--data", &other, "--params", &params, "--listen", address]).fails(6, &[address]);
        serving.signal(signal);
        assert_eq!(serving.end().0, 0);
    }
    coordinator(&["health", "--url", "http://127.0.0.1:1"]).fails(5, &["can't be reached"]);
    coordinator(&["health", "--url", "127.0.0.1:1"]).fails(2, &["expected an address"]);
}

#[test]
fn logs_are_lines_of_json_where_nobody_watches() {
    let folder = Folder::new("cli-logs");
    let (data, params) = (folder.text("data"), shared("params"));
    for (format, is_json) in [("auto", true), ("json", true), ("pretty", false)] {
        let mut serve = command(&["serve", "--data", &data, "--params", &params, "--listen", "127.0.0.1:0"]);
        serve.args(["--logs", format]).stderr(Stdio::piped());
        let mut serving = Running::spawn(serve);
        serving.line();
        let logs = serving.logs();
        serving.signal("-TERM");
        let logs = std::io::read_to_string(logs).expect("text");
        assert_eq!(serving.end().0, 0);
        let parsed = logs.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert!(logs.contains("listening") && logs.contains("INSECURE") && parsed == is_json, "{logs}");
    }
}
