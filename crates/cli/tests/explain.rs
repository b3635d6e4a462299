//! What `explain` says of containers and images is what is in force.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{IMAGE, World};
use serde_json::Value;

fn names(report: &Value, topic: &str, word: &str) -> Vec<String> {
    let facts = report["facts"].as_array().unwrap();
    let fact = facts.iter().find(|f| f["topic"] == topic && f["what"].as_str().unwrap().contains(word));
    let names = fact.and_then(|f| f["names"].as_array());
    names.map(|n| n.iter().map(|v| v.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

#[test]
fn an_image_is_explained_at_each_level() {
    let Some(world) = World::new() else { return };
    let of = |level: &str| -> Value {
        serde_json::from_str(&world.sk(&["explain", IMAGE, "--confine", level, "--format", "json"]).ok()).unwrap()
    };
    let [compat, standard, strict] = ["compat", "standard", "strict"].map(of);
    for report in [&compat, &standard, &strict] {
        assert_eq!(report["schema"], "stockade.explain/v1");
        for topic in ["user", "capabilities", "calls", "paths", "network", "devices", "limits", "namespaces"] {
            assert!(report["facts"].as_array().unwrap().iter().any(|f| f["topic"] == topic), "{topic}");
        }
    }
    let calls = |report| names(report, "calls", "system calls").len();
    assert!(calls(&compat) > calls(&standard) && calls(&standard) > calls(&strict) && calls(&strict) > 50);
    assert!(names(&compat, "calls", "system calls").contains(&"ptrace".to_owned()));
    assert!(!names(&standard, "calls", "system calls").contains(&"ptrace".to_owned()));
    assert_eq!(names(&compat, "capabilities", "capabilities").len(), 14);
    assert!(names(&strict, "capabilities", "capability").is_empty());
}

#[test]
fn a_container_is_explained_with_its_options() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "c", "--network", "none", "--memory", "64m", "--cap-add", "NET_RAW", IMAGE]).ok();
    let text = world.sk(&["explain", "c"]).ok();
    for words in ["--cap-add NET_RAW", "67108864", "its own loopback", "no other container has", "level standard"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let capabilities = serde_json::from_str::<Value>(&world.sk(&["explain", "c", "--format", "json"]).ok()).unwrap();
    let said = names(&capabilities, "capabilities", "capabilities");
    let mask = world
        .sk(&["run", "--rm", "--network", "none", "--cap-add", "NET_RAW", IMAGE, "grep", "CapEff", "/proc/self/status"])
        .ok();
    let mask = u64::from_str_radix(mask.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(said.len() as u32, mask.count_ones(), "what is said is what is in force: {said:?}");
    world.sk(&["explain", "no-such-thing", "--format", "json"]).fails_with(2);
}
