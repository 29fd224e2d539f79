//! Programs: what to start for an address, and what its end means.
//!
//! There is no shell in between: arguments reach the program as they are
//! written. `process.rs` starts what is planned here.

use std::fmt;
use std::time::Duration;

use super::{Outcome, Task};
use crate::config;
use crate::config::placeholders;

/// A program that is not there is looked for again this often: someone may be
/// installing it, and the attempt costs nothing.
const NOT_FOUND_AFTER: Duration = Duration::from_secs(5 * 60);

/// The longest variable: Linux takes 128 KiB.
const MAX_VARIABLE: usize = 64 * 1024;

/// A program to start. `Debug` does not show the arguments: they are the user's.
#[derive(Clone, Eq, PartialEq)]
pub struct Plan {
    /// Its path, or a name that `PATH` finds.
    pub program: String,
    /// Its arguments, placeholders filled in.
    pub args: Vec<String>,
    /// Variables besides the inherited ones; `None` removes one.
    pub env: Vec<(&'static str, Option<String>)>,
    /// What it can read from its standard input: less than a pipe holds.
    pub input: Option<String>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("program", &self.program).finish_non_exhaustive()
    }
}

/// How the other targets stand when a program is run, by their labels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// They hold what they should.
    pub ok: Vec<String>,
    /// Their last try failed, or they are blocked.
    pub failed: Vec<String>,
    /// They have not answered, or have no address to hold.
    pub pending: Vec<String>,
}

impl Plan {
    /// Tells the program how the other targets stand.
    #[must_use]
    pub fn telling(mut self, standing: &Standing) -> Self {
        let Standing { ok, failed, pending } = standing;
        for (name, labels) in [("DDNS_OK", ok), ("DDNS_FAILED", failed), ("DDNS_PENDING", pending)] {
            self.env.push((name, lines(labels)));
        }
        self
    }
}

/// As many as one variable may hold, each on a line.
fn lines(labels: &[String]) -> Option<String> {
    let mut text = String::new();
    for label in labels {
        if text.len().saturating_add(label.len()) >= MAX_VARIABLE {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(label);
    }
    (!text.is_empty()).then_some(text)
}

/// How a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// By us, because it ran longer than this.
    TimedOut(Duration),
    /// It never began: there is no such program.
    NotFound,
    /// It never began: it may not be executed.
    NotExecutable,
    /// It never began, or its end could not be learnt, for this reason.
    Failed(String),
}

impl config::Run {
    /// What a job would do, for people; arguments may be secret.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        format!("run {:?} with {}", self.cmd.first().map_or("", String::as_str), task.addresses)
    }
}

/// What to start for `task`.
#[must_use]
pub fn plan(run: &config::Run, task: &Task) -> Plan {
    fn written<T: ToString>(value: Option<T>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    let (new, old) = (&task.addresses, &task.old);
    let (program, args) =
        run.cmd.split_first().map_or((String::new(), &[][..]), |(p, args)| (p.clone(), args));
    Plan {
        program,
        args: args.iter().map(|arg| placeholders::fill(arg, new)).collect(),
        env: vec![
            ("DDNS_IPV4", written(new.ipv4)),
            ("DDNS_IPV6", written(new.ipv6)),
            ("DDNS_IPV6_PREFIX", written(new.ipv6_prefix)),
            ("DDNS_OLD_IPV4", written(old.ipv4)),
            ("DDNS_OLD_IPV6", written(old.ipv6)),
        ],
        input: None,
    }
}

/// What the program's end means for its target.
#[must_use]
pub fn judge(ended: Ended) -> Outcome {
    let retry = |why: String, after| Outcome::Retry { why, after, reached: true };
    match ended {
        Ended::Exited(0) => Outcome::Published { changed: true },
        Ended::Exited(status) => retry(format!("the program ended with status {status}"), None),
        Ended::Signalled(signal) => retry(format!("the program was ended by signal {signal}"), None),
        Ended::TimedOut(limit) => {
            retry(format!("the program was ended because it ran longer than {} s", limit.as_secs_f64()), None)
        }
        Ended::NotFound => retry(
            "there is no such program; check cmd, and PATH if cmd holds no slash".to_owned(),
            Some(NOT_FOUND_AFTER),
        ),
        Ended::NotExecutable => {
            retry("the program may not be executed; check its permissions".to_owned(), Some(NOT_FOUND_AFTER))
        }
        Ended::Failed(why) => retry(format!("the program could not be run: {why}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Addresses, Prefix};

    fn run() -> config::Run {
        let cmd = ["prog", "{ipv4}", "-x={ipv6_prefix};{ipv6}", "$HOME"];
        config::Run {
            cmd: cmd.map(String::from).to_vec(),
            timeout: Duration::from_secs(60),
            retry: true,
            wait: true,
        }
    }

    #[test]
    fn arguments_and_variables_hold_the_addresses() {
        let task = Task {
            entry: 0,
            addresses: Addresses {
                ipv4: Some([192, 0, 2, 1].into()),
                ipv6: None,
                ipv6_prefix: Prefix::new("2001:db8::".parse().unwrap(), 56),
            },
            old: Addresses { ipv6: Some("2001:db8::1".parse().unwrap()), ..Addresses::default() },
        };
        let plan = plan(&run(), &task);
        assert_eq!(plan.program, "prog");
        assert_eq!(plan.args, ["192.0.2.1", "-x=2001:db8::/56;", "$HOME"]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            plan.env,
            [
                ("DDNS_IPV4", text("192.0.2.1")),
                ("DDNS_IPV6", None),
                ("DDNS_IPV6_PREFIX", text("2001:db8::/56")),
                ("DDNS_OLD_IPV4", None),
                ("DDNS_OLD_IPV6", text("2001:db8::1")),
            ]
        );
        assert_eq!(format!("{plan:?}"), "Plan { program: \"prog\", .. }");
    }

    #[test]
    fn a_program_learns_how_the_others_stand_as_far_as_there_is_room() {
        let standing = Standing {
            ok: vec!["A home.example.org".into(), "nas".into()],
            failed: Vec::new(),
            pending: (0..10_000).map(|n| format!("target {n:093}")).collect(),
        };
        let task = Task { entry: 0, addresses: Addresses::default(), old: Addresses::default() };
        let plan = plan(&run(), &task).telling(&standing);
        let [.., ok, failed, pending] = &plan.env[..] else { panic!() };
        assert_eq!(ok, &("DDNS_OK", Some("A home.example.org\nnas".into())));
        assert_eq!(failed, &("DDNS_FAILED", None));
        let pending = pending.1.as_ref().unwrap();
        assert!((65_000..=65_536).contains(&pending.len()), "{}", pending.len());
        assert!(pending.lines().all(|line| line.len() == 100));
    }

    #[test]
    fn only_status_zero_is_success() {
        assert_eq!(judge(Ended::Exited(0)), Outcome::Published { changed: true });
        for (ended, sentence, wait) in [
            (Ended::Exited(3), "the program ended with status 3", None),
            (Ended::Signalled(9), "the program was ended by signal 9", None),
            (
                Ended::TimedOut(Duration::from_millis(1500)),
                "the program was ended because it ran longer than 1.5 s",
                None,
            ),
            (
                Ended::NotFound,
                "there is no such program; check cmd, and PATH if cmd holds no slash",
                Some(Duration::from_secs(300)),
            ),
            (
                Ended::NotExecutable,
                "the program may not be executed; check its permissions",
                Some(Duration::from_secs(300)),
            ),
            (Ended::Failed("no memory".into()), "the program could not be run: no memory", None),
        ] {
            assert_eq!(judge(ended), Outcome::Retry { why: sentence.into(), after: wait, reached: true });
        }
    }
}
