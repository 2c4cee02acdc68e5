//! Numbers of 0 or more in a query, as the API's description has them: `int64` in OpenAPI's words, so none is larger than
//! [`MAX`].

use serde::{Deserialize, Deserializer, de::Error};

/// The largest.
pub const MAX: u64 = i64::MAX as u64;

/// Reads one, for `#[serde(deserialize_with)]`. What is too large is an error that says so.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > MAX {
        return Err(D::Error::custom(format!("{number} is larger than {MAX}")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_int64_cannot_hold_is_refused() {
        let read =
            |text: &str| deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string());

        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("9223372036854775807"), Ok(MAX));
        assert_eq!(read("9223372036854775808").unwrap_err(), "9223372036854775808 is larger than 9223372036854775807");
        assert!(read("-1").is_err());
    }
}
