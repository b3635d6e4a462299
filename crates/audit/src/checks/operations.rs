//! Section 6 of the benchmark: what piles up.

use serde_json::Value;

use super::DaemonCheck;
use crate::docker::facts::DockerFacts;
use crate::model::Degree::Low;
use crate::model::{Verdict, meta_of};

meta_of!(Operations, (), level: 1, effort: Low, risk: Low);

/// All checks of this section.
pub(super) static CHECKS: &[DaemonCheck] = &[
    DaemonCheck {
        meta: meta(
            "image-sprawl",
            &["CIS-6.1"],
            "No images pile up",
            "Old images get started by mistake, with their holes.",
            "Remove what is not used: docker image prune -a.",
        ),
        test: |d| {
            let used: std::collections::BTreeSet<&str> = d
                .containers
                .iter()
                .filter_map(|c| c.as_ref().ok())
                .filter_map(|c| c.get("Image").and_then(Value::as_str))
                .collect();
            count(d, &format!("{} images, {} in use by running containers", d.images.len(), used.len()))
        },
    },
    DaemonCheck {
        meta: meta(
            "container-sprawl",
            &["CIS-6.2"],
            "No stopped containers pile up",
            "Stopped containers keep data and old programs.",
            "Remove them: docker container prune.",
        ),
        test: |d| {
            let total = d.container_count.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
            count(d, &format!("{total} containers, {} running", d.containers.len()))
        },
    },
];

fn count(d: &DockerFacts, words: &str) -> Verdict {
    match d.info.as_ref() {
        Err(why) => Verdict::unknown(why.clone()),
        Ok(_) => Verdict::manual(words),
    }
}
