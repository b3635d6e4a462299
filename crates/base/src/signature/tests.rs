use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder};
use pgp::packet::{SignatureConfig, Subpacket, SubpacketData};
use pgp::types::{Duration, Password, SigningKey, Timestamp};

use super::*;

const NOW: i64 = 1_795_000_000;
const TEXT: &str = "Origin: Debian\n- dashed\nSuite: stable\n";

fn key(subkey_may_sign: bool) -> SignedSecretKey {
    let created = Timestamp::from_secs(1_700_000_000);
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .created_at(created)
        .can_sign(subkey_may_sign)
        .build()
        .unwrap();
    let params = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .created_at(created)
        .can_sign(true)
        .can_certify(true)
        .primary_user_id("Archive <archive@example.org>".into())
        .subkey(subkey)
        .build()
        .unwrap();
    params.generate(rand::thread_rng()).unwrap()
}

fn keyring(keys: &[&SignedSecretKey]) -> Keyring {
    Keyring { certificates: keys.iter().map(|k| k.to_public_key()).collect(), sources: vec!["test".into()] }
}

struct How {
    hash: HashAlgorithm,
    made: i64,
    life: Option<u32>,
    kind: SignatureType,
}

impl Default for How {
    fn default() -> How {
        How { hash: HashAlgorithm::Sha512, made: NOW - 10, life: None, kind: SignatureType::Text }
    }
}

fn sign_with(signer: &impl SigningKey, how: How) -> Vec<u8> {
    let mut config = SignatureConfig::v4(how.kind, signer.algorithm(), how.hash);
    let created = Timestamp::from_secs(u32::try_from(how.made).unwrap());
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(created)).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(signer.fingerprint())).unwrap(),
    ];
    if let Some(life) = how.life {
        let life = SubpacketData::SignatureExpirationTime(Duration::from_secs(life));
        config.hashed_subpackets.push(Subpacket::regular(life).unwrap());
    }
    let message = CleartextSignedMessage::new(TEXT, config, signer, &Password::empty()).unwrap();
    message.to_armored_bytes(pgp::composed::ArmorOptions::default()).unwrap()
}

fn sign(signer: &impl SigningKey) -> Vec<u8> {
    sign_with(signer, How::default())
}

fn refusal(bytes: &[u8], keyring: &Keyring) -> String {
    verify(bytes, "http://m/InRelease", keyring, NOW).unwrap_err().to_string()
}

#[test]
fn a_good_signature_yields_the_signed_text_and_its_maker() {
    let key = key(true);
    for bytes in [sign(&key.primary_key), sign(&key.secret_subkeys[0].key)] {
        let verified = verify(&bytes, "u", &keyring(&[&key]), NOW).unwrap();
        assert_eq!(verified.text, "Origin: Debian\r\n- dashed\r\nSuite: stable\r\n");
        assert_eq!(verified.signers, [fingerprint(&key.primary_key)]);
    }
}

#[test]
fn any_change_of_the_text_breaks_it() {
    let key = key(true);
    let good = String::from_utf8(sign(&key.primary_key)).unwrap();
    let keyring = keyring(&[&key]);
    for (from, to) in [("stable", "stabla"), ("Origin", "origin"), ("\n- - dashed", ""), ("Suite", "X: y\nSuite")] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(refusal(bad.as_bytes(), &keyring).contains("altered"), "{from} -> {to}");
    }
}

#[test]
fn text_around_the_signed_part_is_refused() {
    let key = key(true);
    let good = String::from_utf8(sign(&key.primary_key)).unwrap();
    let keyring = keyring(&[&key]);
    for bad in [
        format!("Origin: Evil\n\n{good}"),
        format!("{good}\nOrigin: Evil\n"),
        format!("{good}{good}"),
        good.replacen("Hash: SHA512\n", "Hash: SHA512\nOrigin: Evil\n", 1),
    ] {
        assert!(verify(bad.as_bytes(), "u", &keyring, NOW).is_err());
    }
}

#[test]
fn an_unknown_key_is_refused_and_one_good_signature_is_enough() {
    let (known, other) = (key(true), key(true));
    let error = refusal(&sign(&other.primary_key), &keyring(&[&known]));
    assert!(error.contains("no key is known") && error.contains(&fingerprint(&other.primary_key)), "{error}");
    assert!(error.contains("keyring=FILE"), "{error}");
    let verified = verify(&sign(&known.primary_key), "u", &keyring(&[&other, &known]), NOW).unwrap();
    assert_eq!(verified.signers, [fingerprint(&known.primary_key)]);
}

#[test]
fn weak_hashes_are_refused() {
    let key = key(true);
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Md5, HashAlgorithm::Sha224] {
        // The library itself may refuse to make such a signature.
        let made = std::panic::catch_unwind(|| sign_with(&key.primary_key, How { hash, ..How::default() }));
        if let Ok(bytes) = made {
            assert!(refusal(&bytes, &keyring(&[&key])).contains("weak hash"));
        }
    }
}

#[test]
fn dates_are_checked() {
    let key = key(true);
    let keyring = keyring(&[&key]);
    let with = |made, life| refusal(&sign_with(&key.primary_key, How { made, life, ..How::default() }), &keyring);
    assert!(with(NOW + 3 * 86_400, None).contains("future"));
    assert!(with(NOW - 100, Some(50)).contains("expired"));
    assert!(with(1_600_000_000, None).contains("older than key"));
}

#[test]
fn a_subkey_that_is_not_for_signing_is_refused() {
    let key = key(false);
    assert!(refusal(&sign(&key.secret_subkeys[0].key), &keyring(&[&key])).contains("not meant for signing"));
}

#[test]
fn a_subkey_taken_over_from_another_certificate_is_refused() {
    let (victim, thief) = (key(true), key(true));
    let mut forged = victim.to_public_key();
    forged.public_subkeys = thief.to_public_key().public_subkeys;
    let keyring = Keyring { certificates: vec![forged], sources: vec!["test".into()] };
    assert!(refusal(&sign(&thief.secret_subkeys[0].key), &keyring).contains("not bound"));
}

#[test]
fn what_is_no_signed_message_is_refused() {
    let keyring = keyring(&[&key(true)]);
    for bytes in [&b"<html>login</html>"[..], b"", b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n", &[0xff; 100]] {
        assert!(refusal(bytes, &keyring).contains("clear-signed"));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, armored: bool) {
        let mut all = if armored { b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n".to_vec() } else { vec![] };
        all.extend(bytes);
        proptest::prop_assert!(verify(&all, "u", &Keyring::default(), NOW).is_err());
    }
}
