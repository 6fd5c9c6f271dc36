//! Known answers, computed with another implementation of AES-GCM, and bodies that do not open.

use keywright_core::SystemEntropy;

use super::*;

const ID: CipherId = CipherId([1; 16]);
const TEXT_MARK: Mark = Mark([0x11; 16]);
const NOTE_MARK: Mark = Mark([0x21; 16]);

fn key() -> SecretBytes<32> {
    let key: Vec<u8> = (0..32).collect();
    SecretBytes::from_slice(&key).unwrap()
}

fn nonce() -> [u8; NONCE] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn sealer() -> Sealer {
    Sealer::new(&key(), &AccountId::new("user-1").unwrap())
}

fn row(text: &str, note: &str) -> Row {
    let marks = RowMarks { id: ID, text: TEXT_MARK, note: NOTE_MARK, nonce: ClientNonce([0; 16]) };
    Row { marks, text: hex::decode(text).unwrap().into(), note: hex::decode(note).unwrap().into() }
}

const TEXT: &str = "01000102030405060708090a0b2f67ba77aab5be03d04534c4bcb0bcda3e324b526b";
const NOTE: &str = "01000102030405060708090a0b2f67ba77aa27a7ee0832aaecce442ea625e165e297";
const SENT: &str = "00000102030405060708090a0b2d9cf8f461e7bc7ac48626e1804d240f68656c6c6f";

/// Account `user-1`, cipher 16 × 01, text mark 16 × 11, note mark 16 × 21, key 00…1f, nonce 00…0b,
/// `hello`.
#[test]
fn known_answers() {
    let mut sealer = sealer();
    let (mut text, mut note, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    sealer.append(&mut text, nonce(), (ID, Part::Text, TEXT_MARK), b"hello").unwrap();
    sealer.append(&mut note, nonce(), (ID, Part::Note, NOTE_MARK), b"hello").unwrap();
    sealer.append_sent(&mut sent, nonce(), ID, TEXT_MARK, b"hello").unwrap();
    assert_eq!([text, note, sent].map(hex::encode), [TEXT, NOTE, SENT]);
    assert_eq!(sealer.open_text(false, &row(TEXT, NOTE)).unwrap().expose(), "hello");
    assert_eq!(sealer.open_note(&row(TEXT, NOTE)).unwrap().expose(), b"hello");
    assert_eq!(sealer.open_text(true, &row(SENT, NOTE)).unwrap().expose(), "hello");
    assert!(sealer.open_text(false, &row(SENT, NOTE)).is_none(), "where texts are sealed it is a forgery");
    assert_eq!(text_bytes(&row(TEXT, NOTE)), 5);
    assert_eq!(text_bytes(&row(SENT, NOTE)), 5);
}

#[test]
fn a_part_opens_in_its_own_place_only() {
    let good = row(TEXT, NOTE);
    let opens =
        |sealer: &mut Sealer, row: &Row| (sealer.open_text(true, row).is_some(), sealer.open_note(row).is_some());
    assert_eq!(opens(&mut sealer(), &good), (true, true));
    let marked = |change: fn(&mut RowMarks)| {
        let mut row = good.clone();
        change(&mut row.marks);
        opens(&mut sealer(), &row)
    };
    assert_eq!(marked(|marks| marks.id = CipherId([2; 16])), (false, false));
    assert_eq!(marked(|marks| marks.text = Mark([9; 16])), (false, true));
    assert_eq!(marked(|marks| marks.note = Mark([9; 16])), (true, false));
    assert_eq!(marked(|marks| std::mem::swap(&mut marks.text, &mut marks.note)), (false, false));
    let other = AccountId::new("user-2").unwrap();
    assert_eq!(opens(&mut Sealer::new(&key(), &other), &good), (false, false));
    assert_eq!(opens(&mut Sealer::new(&SecretBytes::zeroed(), &other), &good), (false, false));
    // A note does not open as a text, even under the same mark, key and id.
    let both = RowMarks { note: TEXT_MARK, ..good.marks };
    let swapped = Row { marks: both, text: row(NOTE, TEXT).text, note: row(NOTE, TEXT).note };
    assert_eq!(opens(&mut sealer(), &swapped), (false, false));
    // A text as sent is bound in the same way, byte for byte.
    let sent = row(SENT, NOTE);
    for at in 0..sent.text.len() {
        let mut text = sent.text.to_vec();
        text[at] ^= 1;
        assert!(sealer().open_text(true, &Row { text: text.into(), ..sent.clone() }).is_none(), "byte {at}");
    }
}

#[test]
fn what_is_no_text_does_not_open() {
    let mut sealer = sealer();
    let mut body = Vec::new();
    sealer.append(&mut body, nonce(), (ID, Part::Text, TEXT_MARK), b"\xff").unwrap();
    assert!(sealer.open_text(true, &row(&hex::encode(body), NOTE)).is_none());
}

#[test]
fn marks_and_nonces_never_come_again() {
    let entropy = SystemEntropy;
    let texts: Vec<NewText<'_>> = (0..1_000_u16)
        .map(|number| {
            let mut id = [7; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            NewText { id: CipherId(id), nonce: ClientNonce(id), note: NOTE_MARK, text: "a text" }
        })
        .collect();
    for marks in [Marks::Random, Marks::Carrying] {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let rows = rows(&mut sealer(), (AtRest::Sealed, marks), &entropy, texts.iter().copied()).unwrap();
            for row in rows {
                assert!(seen.insert(row.marks.text.0.to_vec()) && seen.insert(row.text[1..13].to_vec()));
                let nonce = ClientNonce(row.marks.id.0);
                assert_eq!((row.marks.note, row.marks.nonce), (NOTE_MARK, nonce));
                assert!(marks == Marks::Random || nonce_of(row.marks.text) == short(nonce));
            }
        }
    }
}
