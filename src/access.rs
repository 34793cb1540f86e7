//! What users and keys may do. Plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;

/// What a user is; each may all that those before may.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, clap::ValueEnum, sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Runs what is shared with them.
    Viewer,
    /// Makes reports and shares their own.
    Analyst,
    /// Everything: the reports and jobs of all, users, groups, sources.
    Administrator,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Administrator => "administrator",
        }
    }
}

/// What a key opens, of what its user may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Scope {
    /// Submits reports, and cancels that.
    #[serde(rename = "run")]
    Run,
    /// Reads jobs, results and lists.
    #[serde(rename = "read")]
    Read,
    /// Puts files into tables.
    #[serde(rename = "import")]
    Import,
    /// Makes, changes, shares and deletes reports.
    #[serde(rename = "reports:write")]
    ReportsWrite,
    /// What only administrators may.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    const ALL: [Self; 5] = [
        Self::Run,
        Self::Read,
        Self::Import,
        Self::ReportsWrite,
        Self::Admin,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Read => "read",
            Self::Import => "import",
            Self::ReportsWrite => "reports:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names = Self::ALL.map(|scope| format!("`{scope}`")).join(", ");
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| Error::must_be("scope", &format!("one of {names}"), text))
    }
}

/// What narrows a key; what is not there does not.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeyTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<Scope>>,
    /// The only reports that it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reports: Option<Vec<i64>>,
    /// Values of filters that nobody who has the key can change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pins: Pins,
    /// Microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<i64>,
    /// Where it may be used from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<IpNet>,
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_max: Option<u32>,
    /// Jobs at a time, queued ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jobs_max: Option<u32>,
}

/// Values by the name of their filter.
pub(crate) type Pins = BTreeMap<String, Vec<String>>;

impl KeyTerms {
    pub(crate) fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether it opens but some reports, or some of their rows, and so nothing beside them.
    pub(crate) fn is_of_reports(&self) -> bool {
        self.reports.is_some() || !self.pins.is_empty()
    }

    /// Where nobody knows an address, no key that is bound to some opens anything.
    pub(crate) fn may_come_from(&self, address: Option<IpAddr>) -> bool {
        self.addresses.is_empty()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.addresses.iter().any(|network| network.contains(&address))
            })
    }
}

/// What eyes see beside what is their own and what is shared with them; each sees what the one before does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    Nothing = 0,
    AllReports = 1,
    /// Everybody's jobs as well.
    AllJobs = 2,
}

/// Whose eyes look at jobs and reports.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) user_id: i64,
    pub(crate) reach: Reach,
    /// No other reports and their jobs, as a JSON array.
    pub(crate) reports: Option<String>,
    /// No other jobs than those with these pinned values, as JSON.
    pub(crate) pins: Option<String>,
}

impl Sight {
    /// Who works on the server itself.
    pub(crate) fn of_the_server() -> Self {
        Self {
            user_id: 0,
            reach: Reach::AllJobs,
            reports: None,
            pins: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bound_to_networks_and_scopes() {
        let open = KeyTerms::default();
        assert!(open.may_come_from(None) && Scope::ALL.into_iter().all(|scope| open.has_scope(scope)));
        let bound = KeyTerms {
            addresses: vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            scopes: Some(vec![Scope::Read]),
            ..KeyTerms::default()
        };
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("2001:db8::5", true),
            ("::1", false),
        ] {
            assert_eq!(
                bound.may_come_from(Some(address.parse().unwrap())),
                expected,
                "{address}"
            );
        }
        assert!(!bound.may_come_from(None));
        assert!(bound.has_scope(Scope::Read) && !bound.has_scope(Scope::Run));
        assert!("everything".parse::<Scope>().is_err());
    }
}
