//! An enrolment for programs that are not ours to read: draws an otpauth URI as a QR code, and
//! judges codes of other programs.
//!
//! Usage: `authenticator PICTURE.png`. Standard input has the URI in its first line, and in each
//! further line a Unix time and a code. For each of these, `right` or `wrong` is printed.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard streams")]

use std::error::Error;
use std::io::{BufRead, stdin};

use keywright_core::UnixSeconds;
use keywright_twofactor::{KeyUri, TotpCheck, TotpVerifier, Window, qr};

fn main() -> Result<(), Box<dyn Error>> {
    let picture = std::env::args_os().nth(1).ok_or("name the picture to write")?;
    let mut lines = stdin().lock().lines();
    let uri = lines.next().ok_or("the first line is an otpauth URI")??;
    std::fs::write(picture, qr::png(&uri)?.expose())?;
    let uri = KeyUri::parse(&uri)?;
    let parameters = *uri.parameters();
    let verifier = TotpVerifier::new(&uri.into_secret(), parameters);
    // The present step alone.
    let window = Window::new(0, 0);
    for line in lines {
        let line = line?;
        let (time, code) = line.split_once(' ').ok_or("a line is a time and a code")?;
        let is_right =
            matches!(verifier.check(code, UnixSeconds::new(time.parse()?)?, window, None), TotpCheck::Right { .. });
        println!("{}", if is_right { "right" } else { "wrong" });
    }
    Ok(())
}
