//! What the rules about labels share.

use stockade_dockerfile::ast::Kind;

use super::Sink;
use crate::file::File;
use crate::options::LabelType;

/// Tests the value of every label that the schema has.
pub(super) fn each(file: &File<'_>, out: &mut Sink<'_>, test: impl Fn(LabelType, &str) -> Option<String>) {
    for instruction in file.instructions() {
        let Kind::Label(pairs) = &instruction.kind else { continue };
        for pair in pairs {
            let key = pair.key.value.trim_matches(['"', '\'']);
            let value = pair.value.value.trim_matches(['"', '\'']);
            let Some(kind) = file.options.label_schema.get(key) else { continue };
            if value.contains('$') {
                continue;
            }
            if let Some(what) = test(*kind, value) {
                out.word(&pair.value, format!("label `{key}` {what}"));
            }
        }
    }
}

/// Tests labels of one type.
pub(super) fn of_type(file: &File<'_>, out: &mut Sink<'_>, wanted: LabelType, what: &str, good: impl Fn(&str) -> bool) {
    each(file, out, |kind, value| (kind == wanted && !good(value)).then(|| format!("is {what}")));
}
