//! Any two texts as versions of every ecosystem: the order must be one.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_advisory::version::Order;

fuzz_target!(|pair: (&str, &str)| {
    for order in Order::ALL {
        let (a, b) = (order.compare(pair.0, pair.1), order.compare(pair.1, pair.0));
        if let (Ok(a), Ok(b)) = (a, b) {
            assert_eq!(a, b.reverse(), "{order:?} {pair:?}");
        }
    }
});
