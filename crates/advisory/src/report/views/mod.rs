//! Views: the report in the formats that people and programs read. None of them adds or hides a fact.

mod cyclonedx;
mod gitlab;
mod html;
mod junit;
mod markdown;
mod sarif;
pub mod table;
mod text;

pub use cyclonedx::cyclonedx;
pub use gitlab::gitlab;
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use table::{TableOptions, table};
