//! Elixir and Erlang: `mix.lock` and `rebar.lock`.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads locks of the BEAM languages.
pub struct Beam;

impl Analyzer for Beam {
    fn name(&self) -> &'static str {
        "hex-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("mix.lock"), Hook::Name("rebar.lock")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        // `"plug": {:hex, :plug, "1.14.0", …` and `{<<"cowboy">>,{pkg,<<"cowboy">>,<<"2.9.0">>},0}`
        let (start, ends) = if file.name() == "mix.lock" { ("{:hex,", ':') } else { ("{pkg,", '<') };
        for line in file.text()?.lines() {
            let Some(entry) = line.split(start).nth(1) else { continue };
            let mut words = entry
                .split(',')
                .map(|word| word.trim().trim_start_matches(ends).trim_matches(['"', '<', '>', '}', ':']));
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                let mut package = Package::new(PackageKind::Hex, name, version);
                package.evidence = Evidence::Lock;
                out.package(package);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn mix_and_rebar() {
        let mix = b"%{\n  \"plug\": {:hex, :plug, \"1.14.0\", \"ba4f\", [:mix], [{:mime, \"~> 1.0\", [hex: :mime]}], \"hexpm\", \"bf\"},\n  \"x\": {:git, \"https://x\", \"abc\", []},\n}\n";
        assert_eq!(packages(&read(&Beam, "mix.lock", mix)), ["plug 1.14.0"]);
        let rebar = b"{\"1.2.0\",\n[{<<\"cowboy\">>,{pkg,<<\"cowboy\">>,<<\"2.9.0\">>},0},\n {<<\"ranch\">>,{pkg,<<\"ranch\">>,<<\"1.8.0\">>},1}]}.\n";
        assert_eq!(packages(&read(&Beam, "rebar.lock", rebar)), ["cowboy 2.9.0", "ranch 1.8.0"]);
    }
}
