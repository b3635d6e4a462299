//! `kill -9` in the middle of a pull.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use stockade_image::Store;
use stockade_registry::{PullOptions, Silent};

use crate::fake::Content;
use crate::images::{assert_clean, client, image, name, noise, partials};
use crate::server::{Body, Reply};

const CHILD: &str = "STOCKADE_TEST_PULL";

/// Not a test: the process that is killed.
#[test]
fn child() {
    let Ok(text) = std::env::var(CHILD) else { return };
    let (root, host) = text.split_once(' ').unwrap();
    let store = Store::open(root.as_ref()).unwrap();
    let reference = name(&format!("{host}/a"));
    let _ = client(&[host]).pull(&store, &reference, &PullOptions::default(), &Silent);
}

#[test]
fn a_killed_pull_leaves_a_clean_store_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = image(&source, &[noise(200_000, 1), noise(200_000, 2)], &[]);
    let good = Content::of(&source, &made, "latest");
    let slow_blob = made.manifest.layers[1].digest.to_string();
    let slow = good.clone().serve({
        let (bytes, digest) = (good.blobs[&slow_blob].clone(), slow_blob.clone());
        move |request| {
            let reply = || Reply { body: Body::Slow(bytes.clone(), Duration::from_millis(1)), ..Reply::new(200, "") };
            request.path.contains(&digest).then(reply)
        }
    });
    let root = dir.path().join("store");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(CHILD, format!("{} {}", root.display(), slow.host))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let received = || {
        let path = root.join("partial").join(made.manifest.layers[1].digest.hex());
        std::fs::metadata(path).map(|m| m.len()).unwrap_or(0)
    };
    while received() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the pull ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));

    let store = Store::open(&root).unwrap();
    assert_clean(&store);
    assert!(store.list().unwrap().is_empty());
    let kept = received();
    let fast = good.serve(|_| None);
    let reference = name(&format!("{}/a", fast.host));
    client(&[&fast.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    let asked = fast.asked(&slow_blob);
    assert_eq!(asked[0].range_start().map(|s| s as u64), Some(kept), "it goes on where it was killed");
    assert_eq!(partials(&store), 0);
    assert_clean(&store);
}
