//! The tables of PostgreSQL that rows may go into.

use arrow::datatypes::DataType;
use arrow::datatypes::TimeUnit;
use tokio_postgres::Client;

use crate::connectors::load::Destination;
use crate::connectors::load::digits;
use crate::connectors::postgres::Postgres;
use crate::connectors::quoted;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::Result;

/// A table that is there.
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    pub(super) name: String,
    /// Its type without and with what is in parentheses.
    pub(super) base: String,
    pub(super) full: String,
    /// Arrays and composites, whose parts can be rounded.
    is_nested: bool,
    /// What that is of a file's.
    pub(super) data_type: Option<DataType>,
}

impl Column {
    /// What is true of a value that the database would round when it is assigned.
    pub(super) fn is_rounded(&self) -> Option<String> {
        let value = quoted(&self.name);
        let (base, full) = (&self.base, &self.full);
        let rounds = ["numeric", "time", "timestamp", "interval"];
        let is_exact = matches!(self.data_type, Some(DataType::Decimal128(..))) || base == full;
        let is_text = base == full && ["text[]", "character varying[]"].contains(&base.as_str());
        // Finer than a microsecond, or with a date or a zone that would be left out.
        let no_time = |zone: &str| {
            format!("{value} !~ '^[0-9]{{1,2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,6}}0*)?)?{zone}$'")
        };
        let is_rounded = format!("cast({value} as {base}) <> cast({value} as {full})");
        match base.as_str() {
            "money" => Some(format!("cast(cast({value} as money) as numeric) <> {value}")),
            "oid" => Some(format!("{value} !~ '^[0-9]+$'")),
            "name" => Some(format!("octet_length({value}) > 63")),
            "\"char\"" => Some(format!("octet_length({value}) > 1")),
            "time without time zone" => Some(format!("{} or {is_rounded}", no_time(""))),
            "time with time zone" => Some(format!(
                "{} or {is_rounded}",
                no_time(" ?([+-][0-9:]+|[A-Za-z/_]+)?")
            )),
            "interval" => Some(format!("{value} ~ '[.][0-9]{{6}}[0-9]*[1-9]' or {is_rounded}")),
            _ if self.is_nested && !is_text => Some(format!(
                "replace(cast(cast({value} as {full}) as text), ' ', '') <> replace({value}, ' ', '')"
            )),
            _ if !is_exact && rounds.iter().any(|name| base.starts_with(name)) => Some(is_rounded),
            _ => None,
        }
    }
}

impl Postgres {
    /// The destination with the schema that its table is in, or would be made in.
    pub(super) async fn resolved(&self, client: &Client, destination: &Destination) -> Result<Destination> {
        let mut resolved = destination.clone();
        if resolved
            .schema
            .as_ref()
            .is_some_and(|schema| schema.starts_with("pg_"))
        {
            return Err(Error::invalid(
                "`dest_schema_name` is a schema of PostgreSQL's own: name another",
            ));
        }
        if resolved.schema.is_none() {
            let name = quoted(&destination.table);
            let found = client
                .query_one(
                    "select coalesce((select nspname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
                                      where pg_class.oid = to_regclass($1)), current_schema())::text",
                    &[&name],
                )
                .await;
            let schema: Option<String> = self.next(found)?.get(0);
            let schema = schema.ok_or_else(|| {
                Error::invalid("none of the schemas in the user's `search_path` is there: name one as `dest_schema_name`")
            })?;
            resolved.schema = Some(schema);
        }
        Ok(resolved)
    }

    pub(super) async fn table(&self, client: &Client, destination: &Destination) -> Result<Option<Table>> {
        let name = destination.qualified(&destination.table, quoted);
        let found = client
            .query_opt(
                "select oid, relkind::text, relrowsecurity,
                        relispartition or exists (select 1 from pg_inherits where oid in (inhrelid, inhparent))
                 from pg_class where oid = to_regclass($1)",
                &[&name],
            )
            .await;
        let Some(found) = self.next(found)? else {
            return Ok(None);
        };
        let only_append = |what: &str| {
            let what = format!("{what}, which only takes mode `append`");
            Err(destination.is_no_table(&what))
        };
        let (oid, kind, has_policies, inherits): (u32, &str, bool, bool) =
            (found.get(0), found.get(1), found.get(2), found.get(3));
        match (kind, destination.mode) {
            ("r" | "p", Mode::Append | Mode::Fail) => {}
            ("p", Mode::Replace) => return only_append("a partitioned table"),
            // What would take its place would not be protected.
            ("r", Mode::Replace) if has_policies => return only_append("a table with row security"),
            ("r", Mode::Replace) if inherits => return only_append("a part or a parent of other tables"),
            ("r", Mode::Replace) => {}
            ("v" | "m", _) => return Err(destination.is_no_table("a view")),
            _ => return Err(destination.is_no_table("no table of the database's own")),
        }
        // A domain takes what the type takes that it is made of in the end.
        let rows = client
            .query(
                "select attname::text, format_type(type, -1), format_type(type, modifier), attgenerated = '',
                        typcategory in ('A', 'C')
                 from pg_attribute
                 cross join lateral (
                    with recursive made_of (type, modifier, depth) as (
                        select atttypid, atttypmod, 0
                        union all
                        select typbasetype, greatest(modifier, typtypmod), depth + 1
                        from made_of join pg_type on pg_type.oid = type where typtype = 'd')
                    select type, modifier from made_of order by depth desc limit 1) as base
                 join pg_type on pg_type.oid = base.type
                 where attrelid = $1 and attnum > 0 and not attisdropped
                 order by attnum",
                &[&oid],
            )
            .await;
        let rows = self.next(rows)?;
        let columns = rows.iter().filter(|row| row.get(3)).map(|row| {
            let (name, base, full): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let data_type = data_type(&base, &full);
            Column {
                name,
                base,
                full,
                is_nested: row.get(4),
                data_type,
            }
        });
        Ok(Some(Table {
            oid,
            columns: columns.collect(),
        }))
    }
}

/// What a file's values must be so that a column takes them as they are; `None` for what only text says.
fn data_type(base: &str, full: &str) -> Option<DataType> {
    Some(match base {
        "boolean" => DataType::Boolean,
        "smallint" | "integer" | "bigint" => DataType::Int64,
        "numeric" => return numeric(full),
        "real" | "double precision" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp without time zone" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp with time zone" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        // Its fraction has as many digits as the server's locale says.
        "money" => DataType::Decimal128(19, 2),
        "text" | "character varying" | "bpchar" => DataType::Utf8,
        _ => return None,
    })
}

/// Of `numeric(12,2)`; one without a precision takes what text says.
fn numeric(full: &str) -> Option<DataType> {
    match digits(full)? {
        (precision @ 1..=38, scale @ 0..=38) if scale.unsigned_abs() <= precision => {
            Some(DataType::Decimal128(precision, scale))
        }
        _ => None,
    }
}
