//! Where a server is.

use url::Url;

use crate::error::Error;
use crate::error::Result;

/// Where a host without a scheme is: behind https.
pub(super) fn address(host: &str) -> Result<Url> {
    let given = host.trim().trim_end_matches('/');
    let url = match given.contains("://") {
        true => Url::parse(given),
        false => Url::parse(&format!("https://{given}")),
    };
    let is_address = |url: &Url| {
        ["http", "https"].contains(&url.scheme()) && url.query().is_none() && url.fragment().is_none()
    };
    let url = url.ok().filter(is_address);
    // What is before an @ may be a password.
    let shown = given.rsplit('@').next().unwrap_or_default();
    url.ok_or_else(|| Error::must_be("--host", "an address like https://reports.example.com", shown))
}

/// An address without the user and the password that may be in it.
pub(super) fn shown_address(url: &Url) -> String {
    let mut url = url.clone();
    // Only an address without a host cannot be changed so.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.as_str().trim_end_matches('/').to_owned()
}
