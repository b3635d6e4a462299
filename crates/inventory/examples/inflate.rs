//! Decompresses a gzip file into nothing: what `benches/scan.sh` compares reading an archive with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

fn main() {
    let path = std::env::args().nth(1).expect("a gzip file");
    let file = std::fs::File::open(path).unwrap();
    let mut reader = flate2::bufread::MultiGzDecoder::new(std::io::BufReader::with_capacity(256 << 10, file));
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0u64;
    loop {
        let got = std::io::Read::read(&mut reader, &mut buffer).unwrap();
        if got == 0 {
            break;
        }
        bytes += got as u64;
    }
    println!("{bytes}");
}
