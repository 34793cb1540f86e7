//! Values on their way to PostgreSQL, in their text form, which every type can read.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::Format;
use tokio_postgres::types::IsNull;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;
use tokio_postgres::types::to_sql_checked;

use crate::query::Bind;

/// What each value is declared as: what a literal of it would be. `undecided` is for text and NULL.
pub(super) fn types(binds: &[Bind], undecided: &Type) -> Vec<Type> {
    binds
        .iter()
        .map(|bind| match bind {
            Bind::Null | Bind::Text(_) => undecided.clone(),
            Bind::Integer(integer) if i32::try_from(*integer).is_ok() => Type::INT4,
            Bind::Integer(_) => Type::INT8,
            Bind::Decimal(_) => Type::NUMERIC,
            Bind::Boolean(_) => Type::BOOL,
            Bind::Date(_) => Type::DATE,
            Bind::Datetime(_) => Type::TIMESTAMP,
        })
        .collect()
}

/// A value to be bound.
#[derive(Debug)]
pub(super) struct Given<'a>(pub(super) &'a Bind);

impl ToSql for Given<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = match self.0 {
            Bind::Null => return Ok(IsNull::Yes),
            Bind::Text(text) | Bind::Decimal(text) => text.clone(),
            Bind::Integer(integer) => integer.to_string(),
            Bind::Boolean(boolean) => boolean.to_string(),
            Bind::Date(date) => date.to_string(),
            Bind::Datetime(datetime) => datetime.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
