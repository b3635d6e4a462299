//! Any bytes after heredoc openers of each kind: whatever parses has bodies that end where they should.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for head in ["RUN <<E\n", "RUN <<-\"E\" cat <<F\n", "COPY <<E <<'F' /\n", "ADD <<-E /x\n"] {
        let text = [b"FROM scratch\n", head.as_bytes(), data].concat();
        if let Ok(dockerfile) = stockade_dockerfile::parse(&text, "Dockerfile") {
            for instruction in &dockerfile.instructions {
                for heredoc in &instruction.heredocs {
                    let _ = heredoc.data();
                    assert!(heredoc.content.len() <= text.len() * 3, "lossy text is three bytes for one at most");
                }
            }
        }
    }
});
