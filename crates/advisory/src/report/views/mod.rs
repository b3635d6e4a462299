//! Views: the report in the formats that people and programs read. None of them adds or hides a fact.

mod cyclonedx;
mod gitlab;
mod html;
mod junit;
mod markdown;
mod sarif;
mod sections;
mod spdx;
pub mod table;
mod text;
mod vex;

pub use cyclonedx::cyclonedx;
pub use gitlab::gitlab;
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use sections::dependency_tree;
pub use spdx::spdx;
pub use table::{TableOptions, table};
pub use vex::{csaf, openvex};
