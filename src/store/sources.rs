//! The databases that reports run on.

use sqlx::FromRow;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::source::NewSource;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::WAREHOUSE;
use crate::store::Store;
use crate::store::now_us;

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    kind: SourceKind,
    url: String,
    password: Option<Vec<u8>>,
    settings: String,
    updated_at: i64,
}

impl Row {
    fn into_source(self) -> Result<Source> {
        let row = self;
        Ok(Source {
            id: row.id,
            name: row.name,
            kind: row.kind,
            url: row.url,
            sealed_password: row.password,
            settings: serde_json::from_str(&row.settings)?,
            updated_at: row.updated_at,
        })
    }
}

impl Store {
    pub(crate) async fn sources(&self) -> Result<Vec<Source>> {
        let rows: Vec<Row> = sqlx::query_as("select * from sources order by id")
            .fetch_all(&self.reads)
            .await?;
        rows.into_iter().map(Row::into_source).collect()
    }

    pub(crate) async fn source(&self, id: i64) -> Result<Option<Source>> {
        let row: Option<Row> = sqlx::query_as("select * from sources where id = $1")
            .bind(id)
            .fetch_optional(&self.reads)
            .await?;
        row.map(Row::into_source).transpose()
    }

    pub(crate) async fn source_named(&self, name: &str) -> Result<Source> {
        let row: Option<Row> = sqlx::query_as("select * from sources where name = $1")
            .bind(name)
            .fetch_optional(&self.reads)
            .await?;
        row.ok_or_else(|| no_source(name))?.into_source()
    }

    /// Adds a source, or with `replace` changes the one of this name, which keeps its id.
    pub(crate) async fn add_source(
        &self,
        new: &NewSource,
        sealed_password: Option<Vec<u8>>,
        replace: bool,
    ) -> Result<i64> {
        let on_conflict = match replace {
            false => "nothing",
            true => {
                "update set kind = excluded.kind, url = excluded.url, password = excluded.password,
                            settings = excluded.settings, updated_at = max(sources.updated_at + 1, excluded.updated_at)"
            }
        };
        let sql = format!(
            "insert into sources (name, kind, url, password, settings, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $6)
             on conflict (name) do {on_conflict} returning id"
        );
        let id: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(&new.name)
            .bind(new.kind)
            .bind(&new.url)
            .bind(sealed_password)
            .bind(serde_json::to_string(&new.settings)?)
            .bind(now_us())
            .fetch_all(&self.writes)
            .await?;
        id.first().copied().ok_or_else(|| {
            Error::new(
                ErrorCode::Conflict,
                format!("there is a source `{}` already", new.name),
            )
        })
    }

    /// Removes a source that no report names.
    pub(crate) async fn remove_source(&self, name: &str) -> Result<()> {
        if name == WAREHOUSE {
            return Err(Error::new(
                ErrorCode::Conflict,
                "the warehouse is the server's own and cannot be removed",
            ));
        }
        let mut transaction = self.begin_write().await?;
        let reports: Vec<i64> = sqlx::query_scalar(
            "select reports.id from reports
             join report_versions on report_id = reports.id and report_versions.version = reports.version
             where definition->>'source' = $1 order by reports.id",
        )
        .bind(name)
        .fetch_all(&mut *transaction)
        .await?;
        if !reports.is_empty() {
            let ids: Vec<String> = reports.iter().map(i64::to_string).collect();
            return Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "source `{name}` is used by the report{} {}: change them, or remove them with `holistics reports remove`",
                    if ids.len() == 1 { "" } else { "s" },
                    ids.join(", ")
                ),
            ));
        }
        let removed = sqlx::query("delete from sources where name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        match removed {
            0 => Err(no_source(name)),
            _ => Ok(()),
        }
    }
}

fn no_source(name: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no source `{name}`"))
}
