//! `--restart`: when a container that ended is started again, and how soon.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Docker's restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code, until stopped by hand.
    Always,
    /// As `Always`; the difference is what happens at boot.
    UnlessStopped,
    /// On an exit code that is not 0, at most so many times; 0 is no limit.
    OnFailure(u32),
}

impl RestartPolicy {
    /// Whether to start again after an end that nobody asked for.
    pub fn wants_restart(self, exit_code: i32, restarts_so_far: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(limit) => exit_code != 0 && (limit == 0 || restarts_so_far < limit),
        }
    }

    /// Docker's name without the count.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure(_) => "on-failure",
        }
    }

    /// The count of `on-failure:N`, else 0.
    pub fn limit(self) -> u32 {
        match self {
            RestartPolicy::OnFailure(limit) => limit,
            _ => 0,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::OnFailure(limit) if *limit > 0 => write!(f, "on-failure:{limit}"),
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s.split_once(':') {
            None => match s {
                "" | "no" => Ok(RestartPolicy::No),
                "always" => Ok(RestartPolicy::Always),
                "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
                "on-failure" => Ok(RestartPolicy::OnFailure(0)),
                _ => Err(format!(
                    "unknown restart policy `{s}`; use `no`, `always`, `unless-stopped` or `on-failure[:TIMES]`"
                )),
            },
            Some(("on-failure", count)) => count
                .parse()
                .map(RestartPolicy::OnFailure)
                .map_err(|_| format!("`{count}` in restart policy `{s}` is no count of restarts")),
            Some(_) => Err(format!("only `on-failure` takes a count, not `{s}`")),
        }
    }
}

/// First wait before a restart.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A container that ran this long is healthy again: the next wait is the first one.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// Waits that double as long as the container keeps failing at once (docker's numbers).
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub fn new() -> Backoff {
        Backoff { next: FIRST_WAIT }
    }

    /// How long to wait after a run of length `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= GOOD_RUN {
            self.next = FIRST_WAIT;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_WAIT);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_and_print_as_dockers() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        for bad in ["sometimes", "always:3", "on-failure:", "on-failure:-1"] {
            assert!(bad.parse::<RestartPolicy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn on_failure_counts() {
        let policy = RestartPolicy::OnFailure(2);
        assert!(!policy.wants_restart(0, 0));
        assert!(policy.wants_restart(1, 1));
        assert!(!policy.wants_restart(1, 2));
        assert!(RestartPolicy::OnFailure(0).wants_restart(1, 1000));
    }

    #[test]
    fn waits_double_to_a_minute_and_start_anew_after_a_good_run() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.after(Duration::ZERO), Duration::from_millis(100));
        assert_eq!(backoff.after(Duration::ZERO), Duration::from_millis(200));
        for _ in 0..20 {
            backoff.after(Duration::ZERO);
        }
        assert_eq!(backoff.after(Duration::ZERO), LONGEST_WAIT);
        assert_eq!(backoff.after(GOOD_RUN), FIRST_WAIT);
    }
}
