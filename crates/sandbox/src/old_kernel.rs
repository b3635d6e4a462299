//! The ways around what older kernels lack, tested on a newer one.

/// Whether to behave as if this kernel were an old one. Only tests pretend.
pub(crate) fn pretended() -> bool {
    #[cfg(test)]
    return tests::PRETEND.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(test))]
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::support::{World, output_of, skip};
    use crate::Root;

    pub(super) static PRETEND: AtomicBool = AtomicBool::new(false);

    #[test]
    fn a_container_starts_the_old_way() {
        if skip() {
            return;
        }
        PRETEND.store(true, Ordering::Relaxed);
        let world = World::new();
        let second = world.path("second");
        std::fs::create_dir(&second).unwrap();
        std::fs::write(second.join("top"), "top\n").unwrap();
        let mut plan = world.plan(&[
            "sh",
            "-c",
            "cat /top; echo x > /made; stat -c %u /made /bin/busybox; ls -d /proc/1; echo $$; cat /proc/mounts",
        ]);
        if let Root::Overlay { lower, .. } = &mut plan.root {
            lower.insert(0, second);
        }
        let text = output_of(&plan);
        assert!(text.starts_with("top\n0\n0\n/proc/1\n1\n"), "{text}");
        let root = text.lines().find(|l| l.contains(" / overlay ")).unwrap_or_default();
        assert!(root.contains("nosuid,nodev"), "{text}");
        assert!(text.contains("hidepid=") && !text.contains("ext4"), "{text}");
        plan.process.args = ["sh", "-c", "cat /made"].map(str::to_owned).to_vec();
        assert_eq!(output_of(&plan), "x\n");
        PRETEND.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
