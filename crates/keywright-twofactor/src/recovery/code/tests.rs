use super::*;
use keywright_core::LocalRng;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;

fn rng(seed: u64) -> LocalRng<ChaCha20Rng> {
    LocalRng::new(ChaCha20Rng::seed_from_u64(seed))
}

fn print_hex(form: &Checked, number: &str) -> String {
    print(form, &hex::decode(number).unwrap()).unwrap().expose().to_string()
}

fn read(preset: Preset, typed: &str) -> Option<String> {
    Canonical::parse(preset, typed).map(|code| std::str::from_utf8(code.expose()).unwrap().to_string())
}

/// `docs/security.md` § 16.
#[test]
fn known_answers() {
    for (number, printed) in [
        ("00000000000000000000", "000000-000000-000001"),
        ("00000000000000000001", "000000-000000-0001ZV"),
        ("0123456789abcdef0123", "04HMAS-W9NF6Y-Y093S1"),
        ("ffffffffffffffffffff", "ZZZZZZ-ZZZZZZ-ZZZZQ5"),
    ] {
        assert_eq!(print_hex(&Checked::DEFAULT, number), printed);
        assert_eq!(read(Preset::Default, printed), Some(printed.replace('-', "")));
    }
    let printed = "ZZDSE-MRESA-34401-4D2PF-2DBDR";
    // 15 bytes, the topmost five bits zero.
    assert_eq!(print_hex(&Checked::NIST, "07fedcba98765432100123456789ab"), printed);
    assert_eq!(read(Preset::Nist, printed), Some(printed.replace('-', "")));
}

/// Tries all 32 symbols at every position, and all pairs of positions.
fn slips_of(preset: Preset, code: &str) {
    let symbols: Vec<u8> = code.bytes().filter(|&byte| byte != b'-').collect();
    let is_taken = |symbols: &[u8]| read(preset, std::str::from_utf8(symbols).unwrap()).is_some();
    assert!(is_taken(&symbols));
    for at in 0..symbols.len() {
        for &other in ALPHABET.iter().filter(|&&other| other != symbols[at]) {
            let mut slip = symbols.clone();
            slip[at] = other;
            assert!(!is_taken(&slip), "{code}: {at} as {}", char::from(other));
        }
        for with in (0..at).filter(|&with| symbols[with] != symbols[at]) {
            let mut slip = symbols.clone();
            slip.swap(at, with);
            assert!(!is_taken(&slip), "{code}: {at} and {with} swapped");
        }
        let mut short = symbols.clone();
        short.remove(at);
        assert!(!is_taken(&short));
    }
    assert!(!is_taken(&[symbols.as_slice(), b"0"].concat()) && !is_taken(&[b"0", symbols.as_slice()].concat()));
}

#[test]
fn what_a_symbol_counts_is_its_place_in_the_alphabet() {
    for typed in (0..=0x7f_u8).map(char::from) {
        let upper = typed.to_ascii_uppercase();
        let read_as = if "IL".contains(upper) {
            '1'
        } else if upper == 'O' {
            '0'
        } else {
            upper
        };
        let place = ALPHABET.iter().position(|&symbol| char::from(symbol) == read_as);
        let expected = place.map(|place| (u8::try_from(read_as).unwrap(), u8::try_from(place).unwrap()));
        assert_eq!(value(typed), expected, "{typed:?}");
    }
    assert!(('\u{80}'..='\u{ffff}').all(|typed| value(typed).is_none()));
}

#[test]
fn every_wrong_symbol_and_every_swap_is_caught() {
    let rng = rng(1);
    for preset in [Preset::Default, Preset::Nist] {
        for _ in 0..20 {
            slips_of(preset, draw(preset, &rng).unwrap().expose());
        }
    }
    slips_of(Preset::Default, "000000-000000-000001");
    slips_of(Preset::Default, "ZZZZZZ-ZZZZZZ-ZZZZQ5");
}

/// The arithmetic behind the check: 32 has order 68 modulo the prime 1021, and no symbol
/// difference is a multiple of it.
#[test]
fn the_order_of_32_exceeds_every_code() {
    let mut power = 32;
    let order = (1..).find(|_| {
        let is_one = power == 1;
        power = times_plus(power, 32, 0);
        is_one
    });
    assert_eq!(order, Some(68));
    assert!((2..MODULUS).all(|divisor| divisor * divisor > MODULUS || !MODULUS.is_multiple_of(divisor)));
}

#[test]
fn a_random_string_passes_with_two_to_the_minus_ten() {
    let rng = rng(2);
    let mut taken = 0;
    for _ in 0..100_000 {
        let draw: [u8; 18] = keywright_core::random_bytes(&rng).unwrap();
        let text: String = draw.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        taken += u32::from(Preset::Default.is_form_of(&text));
    }
    // 97.7 expected; five standard deviations are 49.
    assert!((49..147).contains(&taken), "{taken}");
}

#[test]
fn input_is_forgiven() {
    let canonical = Some("04HMASW9NF6YY093S1".to_string());
    for typed in [
        "04HMAS-W9NF6Y-Y093S1",
        "04hmasw9nf6yy093s1",
        " O4hmas w9nf6y\tyo93si \r\n",
        "04HMAS\u{2010}W9NF6Y\u{2015}Y093SL",
        "04HMAS\u{2212}W9NF6Y\u{ad}\u{a0}\u{200b}\u{feff}Y093S1",
        "0-4-H-M-A-S--W9NF6YY093Sl\u{2011}\u{2012}\u{2013}\u{2014}",
    ] {
        assert_eq!(read(Preset::Default, typed), canonical, "{typed}");
    }
}

#[test]
fn what_is_no_code_is_malformed() {
    let full_width: String =
        "04HMASW9NF6YY093S1".chars().map(|symbol| char::from_u32(u32::from(symbol) + 0xfee0).unwrap()).collect();
    let huge = "04HMAS-W9NF6Y-Y093S1".repeat(100_000);
    let spaces = format!("04HMASW9NF6YY093S1{}", " ".repeat(1 << 20));
    for typed in [
        "",
        " ",
        "000000",
        "123456",
        "U4HMAS-W9NF6Y-Y093S1",
        "04HMAS_W9NF6Y_Y093S1",
        "04HMAS~W9NF6Y-Y093S1",
        "04HMAS\u{200e}W9NF6Y-Y093S1",
        "04HMAS-W9NF6Y-Y093S1\0",
        "04HMAS-W9NF6Y-Y093\u{17f}1",
        &full_width,
        &huge,
        &spaces,
    ] {
        assert_eq!(read(Preset::Default, typed), None);
        assert_eq!(read(Preset::Nist, typed), None);
        assert_eq!(read(Preset::LibrePass, typed), None);
    }
}

#[test]
fn rocket_chat_codes_are_exact_and_even() {
    let rng = rng(3);
    let mut seen = [0_u32; 55];
    for _ in 0..5_000 {
        let code = draw(Preset::RocketChat, &rng).unwrap();
        assert_eq!(read(Preset::RocketChat, code.expose()).as_deref(), Some(code.expose()));
        for byte in code.expose().bytes() {
            seen[ROCKET_CHAT.iter().position(|&symbol| symbol == byte).unwrap()] += 1;
        }
    }
    // 40,000 symbols, 727 each; five standard deviations are 134.
    assert!(seen.iter().all(|count| (590..865).contains(count)), "{seen:?}");
    assert_eq!(read(Preset::RocketChat, "xYzW7k2m").as_deref(), Some("xYzW7k2m"));
    assert!(Preset::RocketChat.is_form_of("O0Il1VU9"));
    for typed in [" xYzW 7k2m\n", "xYzW-7k2m", "xYzW\u{2011}7k2m"] {
        assert_eq!(read(Preset::RocketChat, typed).as_deref(), Some("xYzW7k2m"), "{typed}");
    }
    for typed in ["xYzW7k2", "xYzW7k2mm", "xYzW-7k2", " YzW7k2m", "xYzW7k2\u{e9}", "\u{ff11}\u{ff12}34", "xYzW_7k2m"] {
        assert_eq!(read(Preset::RocketChat, typed), None, "{typed}");
    }
}

#[test]
fn librepass_codes_are_random_uuids() {
    let rng = rng(4);
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let code = draw(Preset::LibrePass, &rng).unwrap();
        let text = code.expose();
        assert!(text.len() == 36 && text[14..15] == *"4" && "89ab".contains(&text[19..20]), "{text}");
        let canonical = text.replace('-', "");
        for typed in [text, &canonical, &text.to_uppercase(), &text.replace('-', " \u{2013} ")] {
            assert_eq!(read(Preset::LibrePass, typed).as_deref(), Some(&*canonical), "{typed}");
        }
        assert!(!Preset::LibrePass.is_form_of(&text.replacen('-', "0", 1)));
        assert!(
            !Preset::LibrePass.is_form_of(&canonical[1..]) && !Preset::LibrePass.is_form_of(&format!("{{{text}}}"))
        );
        assert!(seen.insert(text.to_string()));
    }
    assert!(Preset::LibrePass.is_form_of("00000000-0000-0000-0000-000000000000"));
    assert!(!Preset::LibrePass.is_form_of("G0000000-0000-0000-0000-000000000000"));
}

#[test]
fn a_failing_generator_draws_nothing() {
    struct Broken;
    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    for preset in [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass] {
        assert!(draw(preset, &Broken).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read(number in any::<[u8; 10]>(), longer in any::<[u8; 15]>()) {
        let printed = print(&Checked::DEFAULT, &number).unwrap();
        prop_assert_eq!(read(Preset::Default, printed.expose()), Some(printed.expose().replace('-', "")));
        let mut longer = longer;
        longer[0] &= 7;
        let printed = print(&Checked::NIST, &longer).unwrap();
        prop_assert_eq!(read(Preset::Nist, printed.expose()), Some(printed.expose().replace('-', "")));
    }

    #[test]
    fn one_slip_is_caught(number in any::<[u8; 10]>(), at in 0..18_usize, by in 1..32_usize, with in 0..18_usize) {
        let printed = print(&Checked::DEFAULT, &number).unwrap().expose().replace('-', "").into_bytes();
        let mut wrong = printed.clone();
        let old = ALPHABET.iter().position(|&symbol| symbol == wrong[at]).unwrap();
        wrong[at] = ALPHABET[old.wrapping_add(by) % 32];
        prop_assert!(!Preset::Default.is_form_of(std::str::from_utf8(&wrong).unwrap()));
        let mut swapped = printed.clone();
        swapped.swap(at, with);
        prop_assert_eq!(Preset::Default.is_form_of(std::str::from_utf8(&swapped).unwrap()), swapped == printed);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}", junk in any::<String>()) {
        for preset in [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass] {
            for typed in [&text, &junk] {
                // A parsed code is in its canonical spelling, so parsing it again changes
                // nothing.
                if let Some(code) = read(preset, typed) { prop_assert_eq!(read(preset, &code), Some(code)); }
            }
        }
    }
}
