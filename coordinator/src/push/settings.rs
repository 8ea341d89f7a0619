//! What an operator chooses for each function.

use axum::http::Uri;
use crowdfold_fold::Address;
use crowdfold_wire::limits::{MAX_PUSH_STEPS, MAX_TASKS, MAX_URL_BYTES};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::settings::{BadSetting, hex_address};

/// Functions. Each has a task of its own here, and perhaps a connection and a proof in memory for each of its tasks.
pub const MAX_FUNCTIONS: usize = 256;
/// Seconds for a task, from the connection to the last byte of the proof.
const MAX_TIMEOUT_S: u64 = 3_600;

/// Functions to which tasks are posted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Each of another URL.
    pub functions: Vec<Function>,
}

/// A function that folds what is posted to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// Both ways have names of their own then, so that what is read can be checked where its place in the file is known.
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Function {
    /// Where tasks are posted to, as `https://fold.example/push`. The function was set up with the same text.
    pub url: String,
    /// Who is paid: 0x and 40 hexadecimal digits. The function was set up with the same address.
    #[serde(with = "hex_address")]
    pub payout: Address,
    /// Steps of a task, at most; from 1 to [`MAX_PUSH_STEPS`].
    pub steps_per_task: u64,
    /// Steps that it is asked for in a day of UTC, at most.
    pub daily_steps: u64,
    /// MiB of memory that it has.
    #[serde(default = "default_memory_mib")]
    pub memory_mib: u64,
    /// Seconds for a task, from 1 to 3600.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
    /// Tasks at once, from 1 to [`MAX_TASKS`].
    #[serde(default = "default_at_once")]
    pub at_once: u16,
}

/// What Cloudflare gives a Worker.
fn default_memory_mib() -> u64 {
    128
}

fn default_timeout_s() -> u64 {
    120
}

fn default_at_once() -> u16 {
    1
}

impl Serialize for Function {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for Function {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let function = Self::deserialize(from)?;
        function.check().map_err(de::Error::custom)?;
        Ok(function)
    }
}

impl Function {
    /// Looks whether all of it is within its bounds.
    ///
    /// # Errors
    /// [`BadSetting`] with the first that is not.
    pub fn check(&self) -> Result<(), BadSetting> {
        let most_tasks = u16::from(MAX_TASKS);
        BadSetting::first([
            (
                "push.functions.url",
                "https:// and a host, perhaps a port and a path, or http:// where the host is this machine, \
                 in at most 1024 characters",
                is_url(&self.url),
            ),
            (
                "push.functions.steps_per_task",
                "from 1 to 8192",
                (1..=MAX_PUSH_STEPS as u64).contains(&self.steps_per_task),
            ),
            (
                "push.functions.daily_steps",
                "at least `steps_per_task`, and below 2^63",
                (self.steps_per_task..=i64::MAX.unsigned_abs()).contains(&self.daily_steps),
            ),
            ("push.functions.memory_mib", "at least 1", self.memory_mib > 0),
            ("push.functions.timeout_s", "from 1 to 3600", (1..=MAX_TIMEOUT_S).contains(&self.timeout_s)),
            ("push.functions.at_once", "from 1 to 16", (1..=most_tasks).contains(&self.at_once)),
        ])
    }
}

/// Whether tasks may be posted there. What a proof is worth is seen on the way, and so is what a job computes: in plain
/// text both stay on this machine.
fn is_url(text: &str) -> bool {
    // What a URI's parser would pass over is not in what is signed either.
    let is_plain = text.len() <= MAX_URL_BYTES && text.is_ascii() && !text.contains(['#', '@', '\\']);
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_allowed = match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_this_machine(host),
        _ => false,
    };
    is_plain && is_allowed
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

impl Settings {
    /// Looks whether all of them are within their bounds, where no segment has fewer steps than `min_steps`.
    ///
    /// # Errors
    /// [`BadSetting`] with the first that is not.
    pub fn check(&self, min_steps: u64) -> Result<(), BadSetting> {
        self.functions.iter().try_for_each(Function::check)?;
        let all = &self.functions;
        let is_alone = |(i, function): (usize, &Function)| all[..i].iter().all(|before| before.url != function.url);
        BadSetting::first([
            ("push.functions", "at most 256", all.len() <= MAX_FUNCTIONS),
            ("push.functions", "functions of different URLs", all.iter().enumerate().all(is_alone)),
            (
                "push.functions",
                "functions whose `steps_per_task` is not below `scheduler.min_steps`: they would get nothing",
                all.iter().all(|function| function.steps_per_task >= min_steps),
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, is_url};
    use crate::settings::{BadSetting, Settings};
    use crowdfold_fold::Address;
    use crowdfold_wire::limits::{MAX_PUSH_STEPS, MAX_TASKS, MAX_URL_BYTES};

    const FUNCTION: &str = "\
[[push.functions]]
url = \"https://fold.example/push\"
payout = \"0x00000000000000000000000000000000000000aa\"
steps_per_task = 20
daily_steps = 1000
";

    fn function() -> Function {
        let settings = Settings::from_toml(FUNCTION, "a.toml").expect("it is fine");
        settings.push.functions.into_iter().next().expect("one")
    }

    #[test]
    fn a_function_needs_only_what_nobody_could_guess() {
        let mut payout = Address([0; 20]);
        payout.0[19] = 0xaa;
        let expected = Function {
            url: "https://fold.example/push".into(),
            payout,
            steps_per_task: 20,
            daily_steps: 1000,
            memory_mib: 128,
            timeout_s: 120,
            at_once: 1,
        };
        assert_eq!(function(), expected);
        // What is shown can be read again.
        let mut settings = Settings::default();
        settings.push.functions.push(expected);
        let shown = toml::to_string(&settings).expect("TOML");
        assert_eq!(Settings::from_toml(&shown, "a.toml").expect("it is fine"), settings);
    }

    #[test]
    fn errors_name_line_function_and_what_was_expected() {
        for (from, to, parts) in [
            ("https:", "http:", ["line 1", "`push.functions[0]`", "`push.functions.url`", "https://"]),
            ("steps_per_task = 20", "steps_per_task = 0", ["line 1", "[0]", "steps_per_task`", "from 1 to 8192"]),
            ("daily_steps = 1000", "daily_steps = 19", ["line 1", "[0]", "daily_steps`", "at least `steps_per_task`"]),
            ("payout = \"0x", "payout = \"", ["line 3", "push.functions[0].payout", "", "40 hexadecimal digits"]),
            ("daily_steps = 1000\n", "", ["line 1", "[0]", "missing field", "`daily_steps`"]),
            ("steps_per_task", "steps", ["line 4", "[0]", "unknown field `steps`", "`steps_per_task`"]),
        ] {
            let error = Settings::from_toml(&FUNCTION.replacen(from, to, 1), "a.toml").expect_err(to).to_string();
            assert!(parts.iter().all(|part| error.contains(part)) && !error.contains('\n'), "{error}");
        }
        for (text, part) in [
            (format!("{FUNCTION}\n{FUNCTION}"), "functions of different URLs"),
            (format!("[scheduler]\nmin_steps = 21\n{FUNCTION}"), "`scheduler.min_steps`"),
        ] {
            let error = Settings::from_toml(&text, "a.toml").expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("a.toml, line "), "{error}");
        }
    }

    #[test]
    fn each_bound_is_checked() {
        type Change = fn(&mut Function);
        let bad: [(&str, Change); 9] = [
            ("url", |it| it.url.push('#')),
            ("steps_per_task", |it| it.steps_per_task = 0),
            ("steps_per_task", |it| it.steps_per_task = MAX_PUSH_STEPS as u64 + 1),
            ("daily_steps", |it| it.daily_steps = it.steps_per_task - 1),
            ("daily_steps", |it| it.daily_steps = u64::MAX),
            ("memory_mib", |it| it.memory_mib = 0),
            ("timeout_s", |it| it.timeout_s = 0),
            ("timeout_s", |it| it.timeout_s = 3_601),
            ("at_once", |it| it.at_once = u16::from(MAX_TASKS) + 1),
        ];
        for (wanted, change) in bad {
            let mut function = function();
            change(&mut function);
            let key = format!("push.functions.{wanted}");
            assert!(matches!(function.check(), Err(BadSetting { setting, .. }) if setting == key), "{wanted}");
            let settings = super::Settings { functions: vec![function] };
            assert!(settings.check(1).is_err(), "{wanted}");
        }
        let many = |count: usize| {
            let numbered = |i| Function { url: format!("https://fold.example/{i}"), ..function() };
            super::Settings { functions: (0..count).map(numbered).collect() }
        };
        assert_eq!(many(super::MAX_FUNCTIONS).check(1), Ok(()));
        assert!(many(super::MAX_FUNCTIONS + 1).check(1).is_err());
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in [
            "https://fold.example",
            "https://fold.example:8443/push?of=me",
            "http://localhost:8787/",
            "http://127.0.0.1:1/push",
            "http://127.8.9.10",
            "http://[::1]:9/",
        ] {
            assert!(is_url(good), "{good}");
        }
        let long = format!("https://fold.example/{}", "x".repeat(MAX_URL_BYTES));
        for bad in [
            "",
            "fold.example",
            "/push",
            "ftp://fold.example",
            "http://fold.example",
            "http://localhost.fold.example/",
            "http://127.0.0.1.fold.example/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "https://me@fold.example/",
            "http://localhost@fold.example/",
            "https://fold.example/#part",
            "https://fold.example/ push",
            "https://föld.example/",
            "https://",
            &long,
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
