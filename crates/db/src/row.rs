//! Typed reading of columns: every column's text or number becomes a word of `anima_types` here, or an error that
//! names the column.

use std::str::FromStr;

use anima_types::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row as _, any::AnyRow};

use crate::{Error, Result};

/// Columns of a row, typed.
pub(crate) trait Columns {
    fn int(&self, column: &'static str) -> Result<i64>;
    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>>;
    fn text(&self, column: &'static str) -> Result<String>;
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>>;

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &'static str) -> Result<Timestamp> {
        self.int(column).map(Timestamp)
    }

    fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.maybe_int(column)?.map(Timestamp))
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        from_json(column, &self.text(column)?)
    }

    fn maybe_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?.map(|text| from_json(column, &text)).transpose()
    }

    /// Reads a word such as a status: `named` returns what it means.
    fn word<T>(&self, column: &'static str, named: fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        named(&text).ok_or_else(|| Error::Column { column, reason: format!("unknown word \"{text}\"") })
    }

    fn maybe_word<T>(&self, column: &'static str, named: fn(&str) -> Option<T>) -> Result<Option<T>> {
        match self.is_null(column)? {
            true => Ok(None),
            false => self.word(column, named).map(Some),
        }
    }

    fn parsed<T: FromStr<Err: ToString>>(&self, column: &'static str) -> Result<T> {
        parse(column, &self.text(column)?)
    }

    fn maybe_parsed<T: FromStr<Err: ToString>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?.map(|text| parse(column, &text)).transpose()
    }

    fn is_null(&self, column: &'static str) -> Result<bool>;
}

impl Columns for AnyRow {
    fn int(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn is_null(&self, column: &'static str) -> Result<bool> {
        use sqlx::ValueRef as _;
        Ok(self.try_get_raw(column)?.is_null())
    }
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Column { column, reason: error.to_string() })
}

pub(crate) fn parse<T: FromStr<Err: ToString>>(column: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|error: T::Err| Error::Column { column, reason: error.to_string() })
}

/// Writes a value as JSON for a column.
pub(crate) fn to_json<T: Serialize + ?Sized>(column: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Column { column, reason: error.to_string() })
}
