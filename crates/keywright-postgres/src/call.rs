//! One statement with its values: prepared, or as a simple query with the values written into it.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Postgres};

/// How statements reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Prepared once for each connection. Values are sent beside the statement.
    Prepared,
    /// Simple queries, which a pooler in transaction mode passes on. Values are written as literals.
    Simple,
}

/// A value of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Bytes(Option<&'a [u8]>),
    Number(Option<i64>),
    Flag(bool),
    Blobs(Vec<&'a [u8]>),
    Numbers(Vec<Option<i64>>),
}

/// A statement of ours, whose places `$1`, `$2`… are filled by values.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    sql: &'static str,
    values: Vec<Value<'a>>,
}

impl<'a> Call<'a> {
    pub(crate) const fn new(sql: &'static str, values: Vec<Value<'a>>) -> Self {
        Self { sql, values }
    }

    /// Runs the statement and returns its rows, once the server has reported that it is done: the
    /// rows of a commit arrive before it is committed.
    pub(crate) async fn run(
        self,
        connection: &mut PgConnection,
        protocol: Protocol,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match protocol {
            Protocol::Prepared => {
                let arguments = self.arguments()?;
                sqlx::query_with::<Postgres, _>(self.sql, arguments).fetch_all(connection).await
            }
            // Only numbers and hex digits were written into it.
            Protocol::Simple => sqlx::raw_sql(AssertSqlSafe(self.literal())).fetch_all(connection).await,
        }
    }

    fn arguments(&self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for value in &self.values {
            match value {
                Value::Bytes(bytes) => arguments.add(*bytes),
                Value::Number(number) => arguments.add(*number),
                Value::Flag(flag) => arguments.add(*flag),
                Value::Blobs(blobs) => arguments.add(&blobs[..]),
                Value::Numbers(numbers) => arguments.add(&numbers[..]),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    /// Writes the values into the statement, in which `$` stands for nothing else.
    fn literal(&self) -> String {
        let mut text = String::with_capacity(self.sql.len());
        let mut parts = self.sql.split('$');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = part.split_at_checked(digits).unwrap_or((part, ""));
            let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            match place.and_then(|place| self.values.get(place)) {
                Some(value) => write_literal(&mut text, value),
                None => text.push_str("NULL"),
            }
            text.push_str(rest);
        }
        text
    }
}

/// Writes a value as an expression that means the same under every `search_path` and every setting
/// of strings.
fn write_literal(text: &mut String, value: &Value<'_>) {
    match value {
        Value::Bytes(None) => text.push_str("NULL::pg_catalog.bytea"),
        Value::Bytes(Some(bytes)) => write_bytes(text, bytes),
        Value::Number(number) => write_number(text, *number),
        Value::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Blobs(blobs) => {
            write_list(text, blobs.iter(), |text, blob| write_bytes(text, blob));
            text.push_str("::pg_catalog.bytea[]");
        }
        Value::Numbers(numbers) => {
            write_list(text, numbers.iter(), |text, number| write_number(text, *number));
            text.push_str("::pg_catalog.int8[]");
        }
    }
}

fn write_list<T>(text: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    text.push_str("ARRAY[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}

fn write_number(text: &mut String, number: Option<i64>) {
    match number {
        // Quoted, because the smallest number has no other literal, and so that no sign meets an operator.
        Some(number) => {
            text.push('\'');
            text.push_str(&number.to_string());
            text.push_str("'::pg_catalog.int8");
        }
        None => text.push_str("NULL::pg_catalog.int8"),
    }
}

fn write_bytes(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    text.push_str("pg_catalog.decode('");
    text.reserve(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
    }
    text.push_str("','hex')");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_replace_their_places() {
        let values = vec![
            Value::Bytes(Some(b"a\0'\\")),
            Value::Bytes(None),
            Value::Number(Some(-7)),
            Value::Flag(true),
            Value::Blobs(vec![b"\xff", b""]),
            Value::Numbers(vec![Some(1), None]),
        ];
        let call = Call::new("SELECT f($1, $2,$3, $4, $5, $6) WHERE a = $1", values);
        assert_eq!(
            call.literal(),
            "SELECT f(pg_catalog.decode('6100275c','hex'), NULL::pg_catalog.bytea,'-7'::pg_catalog.int8, true, \
             ARRAY[pg_catalog.decode('ff','hex'),pg_catalog.decode('','hex')]::pg_catalog.bytea[], \
             ARRAY['1'::pg_catalog.int8,NULL::pg_catalog.int8]::pg_catalog.int8[]) \
             WHERE a = pg_catalog.decode('6100275c','hex')"
        );
    }

    #[test]
    fn ten_and_more_places_and_empty_lists() {
        let values = (1..=11).map(|number| Value::Number(Some(number))).chain([Value::Blobs(Vec::new())]).collect();
        assert_eq!(
            Call::new("$1 $11 $12 $13", values).literal(),
            "'1'::pg_catalog.int8 '11'::pg_catalog.int8 ARRAY[]::pg_catalog.bytea[] NULL"
        );
    }
}
