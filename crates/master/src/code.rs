//! Codes that people type: short, of letters and digits that nobody takes for one another, the same however they are typed.

use rand::Rng as _;

use crate::auth;

/// [Crockford's base 32](https://www.crockford.com/base32.html): 256 is a multiple of 32, so each letter is as likely.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// They are typed in groups of four.
const GROUP: usize = 4;

/// Returns a new code of so many letters, each of 5 bits.
pub fn new<const N: usize>() -> String {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Returns what a code is known by; one for something else is not known by the same.
pub fn hash(purpose: &str, code: &str) -> String {
    let plain = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    let plain = plain.map(|c| match c {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    });
    auth::hash(&format!("{purpose}:{}", plain.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = new::<16>();

        assert_eq!(code.len(), 16 + 3);
        assert_eq!(hash("a", &code), hash("a", &code.to_lowercase().replace('-', " ")));
        assert_eq!(hash("a", "0123-1ABC"), hash("a", "o123-iabc"));
        assert_ne!(hash("a", &code), hash("a", &new::<16>()));
        assert_ne!(hash("a", &code), hash("b", &code));
    }
}
