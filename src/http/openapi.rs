//! The description of the API, gathered from the handlers.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::ApiKey;
use utoipa::openapi::security::ApiKeyValue;
use utoipa::openapi::security::SecurityScheme;

/// A refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Errors {
    errors: Vec<String>,
}

/// The server's state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    pub(crate) status: &'static str,
}

/// Adds what no handler says: title, version, how to send a key; and tells paths as clients write them.
pub(crate) fn finish(mut document: OpenApi) -> OpenApi {
    document.info.title = "holistics".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some("Runs SQL reports and hands out their data.".to_owned());
    document.info.license = Some(
        utoipa::openapi::LicenseBuilder::new()
            .name("Apache-2.0")
            .identifier(Some("Apache-2.0"))
            .build(),
    );
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Holistics-Key")));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("key", key);
    // The router matches whole segments only, so these handlers cut the suffix off themselves.
    let paths = std::mem::take(&mut document.paths.paths);
    for (path, mut item) in paths {
        if let Some(post) = &mut item.post
            && let Some(id) = &mut post.operation_id
        {
            id.push_str("_by_post");
        }
        let path = match path.ends_with('}') {
            true => format!("{path}.json"),
            false => path,
        };
        document.paths.paths.insert(path, item);
    }
    document
}
