//! Any bytes as a database file: every access is checked, whatever the tables say.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_advisory_db::Reader;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = Reader::open(data) else { return };
    let _ = reader.verify();
    let _ = reader.sources();
    let _ = reader.coverage();
    let _ = reader.ecosystems();
    let _ = reader.package("npm", "lodash");
    let _ = reader.records_named("CVE-2021-44228");
    let _ = reader.exploited("CVE-2021-44228");
    let _ = reader.epss((2021, 44228));
    if data.len() < 1 << 16 {
        let _ = reader.to_records();
    }
});
