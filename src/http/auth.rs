//! Who calls: the key, looked at before anything else is.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;

use crate::api_key::HashedKey;
use crate::http::App;
use crate::http::error::Rejection;
use crate::user::User;

const HEADER: &str = "x-holistics-key";
const PARAMETER: &str = "_utoken";

/// The user whose key came with the request.
pub(crate) struct Caller(pub(crate) User);

impl FromRequestParts<App> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let key = presented(parts)?;
        let user = app
            .store
            .user_of_key(&HashedKey::of(&key))
            .await?
            .ok_or(Rejection::InvalidKey)?;
        tracing::Span::current().record("user_id", user.id);
        Ok(Self(user))
    }
}

fn presented(parts: &Parts) -> Result<String, Rejection> {
    if let Some(value) = parts.headers.get(HEADER) {
        let key = value.to_str().map_err(|_| Rejection::InvalidKey)?;
        return Ok(key.trim().to_owned());
    }
    let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri).ok();
    match query.and_then(|Query(mut query)| query.remove(PARAMETER)) {
        // A key holds `+`, which old clients send as it is and decoding turns into a space.
        Some(key) => Ok(key.trim().replace(' ', "+")),
        None => Err(Rejection::NoKey),
    }
}
