//! QR codes: the pictures are well-formed and show exactly the modules.

use keywright_twofactor::qr;

const URI: &str =
    "otpauth://totp/ACME%20Co:john.doe%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME%20Co";

/// Returns the modules as the picture shows them, quiet zone included: true is dark.
fn expected(text: &str) -> (usize, Vec<bool>) {
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M).unwrap();
    let side = code.width() + 8;
    let dark = (0..side * side).map(|at| {
        let (x, y) = ((at % side).wrapping_sub(4), (at / side).wrapping_sub(4));
        x < code.width() && y < code.width() && code[(x, y)] == qrcode::Color::Dark
    });
    (side, dark.collect())
}

#[test]
fn the_svg_has_a_square_for_every_dark_module() {
    let svg = qr::svg(URI).unwrap();
    let text = svg.expose();
    let (side, dark) = expected(URI);
    assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{text:.80}");
    assert!(text.contains(&format!("viewBox=\"0 0 {side} {side}\"")) && text.ends_with("\"/></svg>"));
    assert_eq!(text.matches("h1v1h-1z").count(), dark.iter().filter(|dark| **dark).count());
    for (at, dark) in dark.iter().enumerate() {
        let square = format!("M{} {}h1v1h-1z", at % side, at / side);
        assert_eq!(text.contains(&square), *dark, "{square}");
    }
    assert!(!text.contains("GEZDG"), "the picture, not the text");
}

/// The picture is parsed here byte by byte, because the crate writes the container itself.
#[test]
fn the_png_is_whole_and_shows_the_modules() {
    let png = qr::png(URI).unwrap();
    let bytes = png.expose();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let (mut at, mut packed, mut kinds) = (8, Vec::new(), Vec::new());
    let (mut width, mut height) = (0, 0);
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let kind = &bytes[at + 4..at + 8];
        let body = &bytes[at + 8..at + 8 + length];
        let crc = u32::from_be_bytes(bytes[at + 8 + length..at + 12 + length].try_into().unwrap());
        assert_eq!(crc, crc32(&bytes[at + 4..at + 8 + length]));
        match kind {
            b"IHDR" => {
                width = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
                height = u32::from_be_bytes(body[4..8].try_into().unwrap()) as usize;
                assert_eq!(body[8..], [1, 0, 0, 0, 0]);
            }
            b"IDAT" => packed.extend_from_slice(body),
            _ => {}
        }
        kinds.push(kind.to_vec());
        at += 12 + length;
    }
    assert_eq!(kinds, [b"IHDR".to_vec(), b"IDAT".to_vec(), b"IEND".to_vec()]);
    let lines = inflate_stored(&packed);
    let (side, dark) = expected(URI);
    assert_eq!((width, height), (side * 6, side * 6));
    let line = width.div_ceil(8) + 1;
    assert_eq!(lines.len(), line * height);
    for y in 0..height {
        assert_eq!(lines[y * line], 0, "no filter");
        for x in 0..width {
            let light = lines[y * line + 1 + x / 8] >> (7 - x % 8) & 1 == 1;
            assert_eq!(light, !dark[(y / 6) * side + x / 6], "{x} {y}");
        }
    }
}

/// An independent decoder reads a short text, and one whose stream has several blocks.
#[test]
fn the_png_is_read_by_another_decoder() {
    for text in [URI, &"a".repeat(2_331)] {
        let picture = qr::png(text).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture.expose())).read_info().unwrap();
        let mut bits = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bits).unwrap();
        assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Grayscale, png::BitDepth::One));
        let (side, dark) = expected(text);
        let width = frame.width as usize;
        assert_eq!((width, frame.height), (side * 6, frame.width));
        for (y, line) in bits.chunks(frame.line_size).enumerate() {
            for x in 0..width {
                let light = line[x / 8] >> (7 - x % 8) & 1 == 1;
                assert_eq!(light, !dark[(y / 6) * side + x / 6], "{x} {y}");
            }
        }
        reader.finish().unwrap();
    }
}

#[test]
fn a_text_that_is_too_long_is_an_error() {
    let long = "a".repeat(3_000);
    assert!(qr::svg(&long).is_err() && qr::png(&long).is_err());
    // The largest code there is: its stream has several blocks.
    let png = qr::png(&"a".repeat(2_331)).unwrap();
    assert!(png.expose().len() > 65_535);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn inflate_stored(packed: &[u8]) -> Vec<u8> {
    assert_eq!(packed[..2], [0x78, 0x01]);
    assert_eq!(u16::from_be_bytes([packed[0], packed[1]]) % 31, 0);
    let (mut at, mut out) = (2, Vec::new());
    loop {
        let (last, length) = (packed[at], u16::from_le_bytes([packed[at + 1], packed[at + 2]]));
        assert_eq!(u16::from_le_bytes([packed[at + 3], packed[at + 4]]), !length);
        out.extend_from_slice(&packed[at + 5..at + 5 + usize::from(length)]);
        at += 5 + usize::from(length);
        if last == 1 {
            break;
        }
    }
    let (a, b) = out.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    assert_eq!(packed[at..], (b << 16 | a).to_be_bytes());
    out
}
