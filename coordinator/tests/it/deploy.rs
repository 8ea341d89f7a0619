//! Files for operators agree with each other.

use serde_json::Value;
use std::collections::BTreeSet;

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yaml");
const ALERT_TESTS: &str = include_str!("../../../deploy/prometheus/alerts.test.yaml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/coordinator.json");
const CONTAINER: &str = include_str!("../../../deploy/Containerfile");
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");
const GUIDE: &str = include_str!("../../../docs/guide/operator.md");

/// Names of metrics in a text; those of histograms without what Prometheus adds.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("crowdfold_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect()
}

#[test]
fn the_guide_explains_every_metric_and_the_dashboard_shows_it() {
    let (explained, shown) = (metrics(GUIDE), metrics(DASHBOARD));
    // Modules of the program are named alike in what is said about logs.
    let explained: BTreeSet<_> = explained.into_iter().filter(|name| *name != "crowdfold_coordinator").collect();
    assert!(explained.len() > 20, "{explained:?}");
    assert_eq!(explained, shown);
    let alerted = metrics(ALERTS);
    assert!(alerted.is_subset(&explained), "{alerted:?}");
}

#[test]
fn every_alert_is_tried_and_has_a_line_in_the_guide() {
    let alerts: Vec<_> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(GUIDE.contains(&format!("`{alert}`")), "{alert}");
        for test in ["is raised", "is not raised"] {
            assert!(ALERT_TESTS.contains(&format!("- name: {alert} {test}\n")), "{alert} {test}");
        }
    }
}

#[test]
fn the_dashboard_has_a_query_and_a_place_for_each_panel() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let number = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
        let queries = panel["targets"].as_array().map_or(0, Vec::len);
        assert!(queries > 0 || panel["type"] == "row", "{}", panel["title"]);
    }
}

#[test]
fn containers_are_built_with_the_compiler_of_the_repository() {
    let channel = TOOLCHAIN.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    let version = channel.trim_matches('"');
    assert!(CONTAINER.contains(&format!("rust:{version}-")), "{version}");
    assert!(CONTAINER.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "{version}");
}
