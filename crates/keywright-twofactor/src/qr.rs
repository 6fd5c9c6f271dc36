//! Rendering of an otpauth URI as a QR code.
//!
//! The pictures contain the secret: they are wiped like one, and must not be cached or logged. The
//! memory that `qrcode` uses while it lays a code out is not wiped, because the library offers no
//! way to do so.

use std::fmt::Write;
use std::io::Cursor;

use crc::{CRC_32_ISO_HDLC, Crc};
use fdeflate::StoredOnlyCompressor;
use keywright_core::{SecretString, SecretVec};
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// The width of the light margin around the code, in modules. Source: ISO/IEC 18004, four.
const QUIET: usize = 4;

/// The width of a module in a PNG, in pixels: phones can read it from a screen at arm's length.
const SCALE: usize = 6;

/// The eight bytes that begin every PNG.
const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// The maximum size of a stored deflate block, in bytes (RFC 1951 § 3.2.4).
const BLOCK: usize = 65_535;

/// A square of dark and light modules, quiet zone included.
struct Modules {
    side: usize,
    dark: Zeroizing<Vec<bool>>,
}

impl Modules {
    fn of(text: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| QrError)?;
        let width = code.width();
        let side = width.saturating_add(QUIET.saturating_mul(2));
        let mut dark = Zeroizing::new(Vec::with_capacity(side.saturating_mul(side)));
        let quiet = side.saturating_mul(QUIET);
        dark.resize(quiet, false);
        for row in code.into_colors().chunks(width.max(1)) {
            dark.extend([false; QUIET]);
            dark.extend(row.iter().map(|color| *color == Color::Dark));
            dark.extend([false; QUIET]);
        }
        dark.extend(std::iter::repeat_n(false, quiet));
        Ok(Self { side, dark })
    }

    fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.dark.chunks(self.side.max(1))
    }
}

/// Renders the text as an SVG picture, black on white, with one unit per module.
///
/// # Errors
/// Returns [`QrError`] if the text is too long for a QR code.
pub fn svg(text: &str) -> Result<SecretString, QrError> {
    let modules = Modules::of(text)?;
    let side = modules.side;
    // "M", two numbers of three digits, "h1v1h-1z": 17 bytes for each dark module at most.
    let size = modules.dark.len().saturating_mul(17).saturating_add(256);
    let mut out = String::with_capacity(size);
    let begun = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\""
    );
    begun.map_err(|_| QrError)?;
    for (y, row) in modules.rows().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, dark)| **dark) {
            write!(out, "M{x} {y}h1v1h-1z").map_err(|_| QrError)?;
        }
    }
    out.push_str("\"/></svg>");
    Ok(SecretString::new(out))
}

/// Renders the text as a PNG picture, black on white, with six pixels per module and one bit per
/// pixel.
///
/// # Errors
/// Returns [`QrError`] if the text is too long for a QR code.
// The `png` crate is not used: its `write_image_data` packs the picture into vectors of its own,
// which it grows and does not wipe (a line of the picture was found in two freed blocks without
// compression, and in one with it). Its writer of single chunks leaves no copy, but it would add
// seven more crates to write three chunks.
pub fn png(text: &str) -> Result<SecretVec, QrError> {
    let modules = Modules::of(text)?;
    let pixels = modules.side.saturating_mul(SCALE);
    let side = u32::try_from(pixels).map_err(|_| QrError)?;
    let mut lines = Zeroizing::new(Vec::with_capacity(pixels.saturating_mul(pixels.div_ceil(8).saturating_add(1))));
    for row in modules.rows() {
        let line = scan_line(row);
        (0..SCALE).for_each(|_| lines.extend_from_slice(&line));
    }
    let packed = store(&lines)?;
    let mut header = [0; 13];
    if let Some((width, rest)) = header.split_first_chunk_mut::<4>()
        && let Some((height, rest)) = rest.split_first_chunk_mut::<4>()
        && let Some(depth) = rest.first_mut()
    {
        *width = side.to_be_bytes();
        *height = side.to_be_bytes();
        *depth = 1; // one bit of grey; colour type, compression, filter and interlace are 0
    }
    let mut out = Vec::with_capacity(packed.len().saturating_add(64));
    out.extend_from_slice(SIGNATURE);
    chunk(&mut out, *b"IHDR", &header)?;
    chunk(&mut out, *b"IDAT", &packed)?;
    chunk(&mut out, *b"IEND", &[])?;
    Ok(SecretVec::new(out))
}

/// Returns one line of pixels after its filter byte; a set bit is light.
fn scan_line(row: &[bool]) -> Zeroizing<Vec<u8>> {
    let count = row.len().saturating_mul(SCALE);
    let mut pixels = Zeroizing::new(Vec::with_capacity(count));
    pixels.extend(row.iter().flat_map(|dark| [*dark; SCALE]));
    let mut line = Zeroizing::new(Vec::with_capacity(count.div_ceil(8).saturating_add(1)));
    line.push(0);
    for eight in pixels.chunks(8) {
        let byte = eight.iter().zip((0..8_u8).rev()).fold(0, |byte, (dark, bit)| byte | (u8::from(!*dark) << bit));
        line.push(byte);
    }
    line
}

/// Returns a zlib stream of stored blocks: compressing a picture that is shown once gains nothing.
/// The stream is written into a slice, which cannot grow and leave a copy behind.
fn store(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, QrError> {
    // A header of two bytes, one of five for each block, a checksum of four.
    let blocks = bytes.len().div_ceil(BLOCK).max(1);
    let size = bytes.len().saturating_add(blocks.saturating_mul(5)).saturating_add(6);
    let mut out = Zeroizing::new(vec![0; size]);
    let mut packer = StoredOnlyCompressor::new(Cursor::new(out.as_mut_slice())).map_err(|_| QrError)?;
    packer.write_data(bytes).map_err(|_| QrError)?;
    packer.finish().map_err(|_| QrError)?;
    Ok(out)
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<(), QrError> {
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    digest.update(&kind);
    digest.update(body);
    out.extend_from_slice(&u32::try_from(body.len()).map_err(|_| QrError)?.to_be_bytes());
    out.extend_from_slice(&kind);
    out.extend_from_slice(body);
    out.extend_from_slice(&digest.finalize().to_be_bytes());
    Ok(())
}

/// The text is too long for a QR code: an otpauth URI with names of hundreds of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text is too long for a QR code")]
pub struct QrError;
