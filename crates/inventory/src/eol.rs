//! Until when vendors give free security updates: facts from their release pages.
//!
//! For Debian the end of LTS counts, because its updates (DLAs) are public. For Ubuntu, RHEL and SUSE it is the end of
//! general support; paid extensions do not count.

use jiff::civil::Date;

/// `(id, release, year, month, day)`. A release also stands for its point releases (`8` for `8.10`).
const TABLE: &[(&str, &str, i16, i8, i8)] = &[
    ("debian", "6", 2016, 2, 29),
    ("debian", "7", 2018, 5, 31),
    ("debian", "8", 2020, 6, 30),
    ("debian", "9", 2022, 6, 30),
    ("debian", "10", 2024, 6, 30),
    ("debian", "11", 2026, 8, 31),
    ("debian", "12", 2028, 6, 30),
    ("debian", "13", 2030, 6, 30),
    ("ubuntu", "12.04", 2017, 4, 28),
    ("ubuntu", "14.04", 2019, 4, 25),
    ("ubuntu", "16.04", 2021, 4, 30),
    ("ubuntu", "17.10", 2018, 7, 19),
    ("ubuntu", "18.04", 2023, 5, 31),
    ("ubuntu", "18.10", 2019, 7, 18),
    ("ubuntu", "19.04", 2020, 1, 23),
    ("ubuntu", "19.10", 2020, 7, 17),
    ("ubuntu", "20.04", 2025, 5, 31),
    ("ubuntu", "20.10", 2021, 7, 22),
    ("ubuntu", "21.04", 2022, 1, 20),
    ("ubuntu", "21.10", 2022, 7, 14),
    ("ubuntu", "22.04", 2027, 6, 1),
    ("ubuntu", "22.10", 2023, 7, 20),
    ("ubuntu", "23.04", 2024, 1, 25),
    ("ubuntu", "23.10", 2024, 7, 11),
    ("ubuntu", "24.04", 2029, 5, 31),
    ("ubuntu", "24.10", 2025, 7, 10),
    ("ubuntu", "25.04", 2026, 1, 15),
    ("alpine", "3.3", 2017, 11, 1),
    ("alpine", "3.4", 2018, 5, 1),
    ("alpine", "3.5", 2018, 11, 1),
    ("alpine", "3.6", 2019, 5, 1),
    ("alpine", "3.7", 2019, 11, 1),
    ("alpine", "3.8", 2020, 5, 1),
    ("alpine", "3.9", 2020, 11, 1),
    ("alpine", "3.10", 2021, 5, 1),
    ("alpine", "3.11", 2021, 11, 1),
    ("alpine", "3.12", 2022, 5, 1),
    ("alpine", "3.13", 2022, 11, 1),
    ("alpine", "3.14", 2023, 5, 1),
    ("alpine", "3.15", 2023, 11, 1),
    ("alpine", "3.16", 2024, 5, 23),
    ("alpine", "3.17", 2024, 11, 22),
    ("alpine", "3.18", 2025, 5, 9),
    ("alpine", "3.19", 2025, 11, 1),
    ("alpine", "3.20", 2026, 4, 1),
    ("alpine", "3.21", 2026, 11, 1),
    ("alpine", "3.22", 2027, 5, 1),
    ("rhel", "5", 2017, 3, 31),
    ("rhel", "6", 2020, 11, 30),
    ("rhel", "7", 2024, 6, 30),
    ("rhel", "8", 2029, 5, 31),
    ("rhel", "9", 2032, 5, 31),
    ("rhel", "10", 2035, 5, 31),
    ("centos", "5", 2017, 3, 31),
    ("centos", "6", 2020, 11, 30),
    ("centos", "7", 2024, 6, 30),
    ("centos", "8", 2021, 12, 31),
    ("centos-stream", "8", 2024, 5, 31),
    ("centos-stream", "9", 2027, 5, 31),
    ("rocky", "8", 2029, 5, 31),
    ("rocky", "9", 2032, 5, 31),
    ("rocky", "10", 2035, 5, 31),
    ("almalinux", "8", 2029, 5, 31),
    ("almalinux", "9", 2032, 5, 31),
    ("almalinux", "10", 2035, 5, 31),
    ("ol", "6", 2021, 3, 31),
    ("ol", "7", 2024, 12, 31),
    ("ol", "8", 2029, 7, 31),
    ("ol", "9", 2032, 6, 30),
    ("fedora", "34", 2022, 6, 7),
    ("fedora", "35", 2022, 12, 13),
    ("fedora", "36", 2023, 5, 16),
    ("fedora", "37", 2023, 12, 5),
    ("fedora", "38", 2024, 5, 21),
    ("fedora", "39", 2024, 11, 26),
    ("fedora", "40", 2025, 5, 13),
    ("fedora", "41", 2025, 12, 15),
    ("fedora", "42", 2026, 5, 13),
    ("amzn", "2018.03", 2023, 12, 31),
    ("amzn", "2", 2026, 6, 30),
    ("amzn", "2023", 2029, 6, 30),
    ("sles", "11.4", 2019, 3, 31),
    ("sles", "12.3", 2019, 6, 30),
    ("sles", "12.4", 2020, 6, 30),
    ("sles", "12.5", 2024, 10, 31),
    ("sles", "15.0", 2019, 12, 31),
    ("sles", "15.1", 2021, 1, 31),
    ("sles", "15.2", 2021, 12, 31),
    ("sles", "15.3", 2022, 12, 31),
    ("sles", "15.4", 2023, 12, 31),
    ("sles", "15.5", 2024, 12, 31),
    ("sles", "15.6", 2025, 12, 31),
    ("sles", "15.7", 2031, 7, 31),
    ("opensuse-leap", "42.3", 2019, 7, 1),
    ("opensuse-leap", "15.0", 2019, 12, 3),
    ("opensuse-leap", "15.1", 2021, 2, 2),
    ("opensuse-leap", "15.2", 2022, 1, 4),
    ("opensuse-leap", "15.3", 2022, 12, 31),
    ("opensuse-leap", "15.4", 2023, 12, 7),
    ("opensuse-leap", "15.5", 2024, 12, 31),
    ("opensuse-leap", "15.6", 2026, 4, 30),
    ("photon", "1.0", 2022, 2, 28),
    ("photon", "2.0", 2022, 12, 31),
    ("photon", "3.0", 2024, 3, 1),
    ("mariner", "1.0", 2023, 7, 31),
    ("mariner", "2.0", 2025, 7, 31),
];

/// The last day of free security support of a release, when it is known here.
pub fn end_of_life(id: &str, version: &str) -> Option<Date> {
    let mut version = version;
    loop {
        if let Some((_, _, year, month, day)) = TABLE.iter().find(|row| row.0 == id && row.1 == version) {
            return Date::new(*year, *month, *day).ok();
        }
        version = version.rsplit_once('.')?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_date_and_point_releases_count() {
        for (id, version, year, month, day) in TABLE {
            assert_eq!(end_of_life(id, version), Some(Date::new(*year, *month, *day).unwrap()));
        }
        assert_eq!(end_of_life("alpine", "3.18.4"), end_of_life("alpine", "3.18"));
        assert_eq!(end_of_life("rhel", "8.10"), end_of_life("rhel", "8"));
        assert_eq!(end_of_life("ubuntu", "99.04"), None);
    }
}
