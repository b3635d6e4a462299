//! Counters of a container, in the form of runc's `events --stats`.

use serde_json::{Value, json};

use crate::Result;
use crate::state::Container;

/// The counters, now.
pub fn stats(container: &Container) -> Result<Value> {
    let stats = container.cgroup().stats()?;
    Ok(json!({
        "type": "stats",
        "id": container.id(),
        "data": {
            "cpu": { "usage": { "total": stats.cpu_ns } },
            "memory": { "usage": { "usage": stats.memory_bytes, "limit": stats.memory_limit_bytes },
                        "oomKills": stats.oom_kills },
            "pids": { "current": stats.pids, "limit": stats.pids_limit },
            "blkio": { "ioServiceBytesRecursive": [
                { "op": "Read", "value": stats.io_read_bytes },
                { "op": "Write", "value": stats.io_write_bytes },
            ] },
        },
    }))
}
