//! Who calls: the key, looked at before anything else is, and what it opens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::extract::MatchedPath;
use axum::extract::Query;
use axum::http::Method;
use axum::http::request::Parts;

use crate::access::KeyTerms;
use crate::access::Reach;
use crate::access::Role;
use crate::access::Scope;
use crate::access::Sight;
use crate::api_key::HashedKey;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::feed::Feed;
use crate::http::App;
use crate::http::access;
use crate::http::audit::Trail;
use crate::http::error::Rejection;
use crate::job::KeyShare;
use crate::store::api_keys::Holder;
use crate::store::now_us;
use crate::user::User;

const HEADER: &str = "x-holistics-key";
const PARAMETER: &str = "_utoken";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who has waited longer is looked at again: what is taken from somebody is gone within a second.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who makes a request, and what of their rights the key lends to it.
pub(crate) struct Caller {
    pub(crate) user: User,
    /// `None` for a signed link, which has no key.
    pub(crate) key_id: Option<i64>,
    pub(crate) terms: Arc<KeyTerms>,
    pass: Arc<Pass>,
    looked_at: Instant,
}

/// What let a caller in.
#[derive(Debug)]
pub(super) enum Pass {
    /// A key, for a request of this route.
    Key {
        key_id: i64,
        method: Method,
        route: String,
    },
    Feed {
        id: i64,
        token_hash: Vec<u8>,
    },
    Link {
        user_id: i64,
    },
}

impl FromRequestParts<App> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let address = address_of(parts, app);
        let trail = Trail::of(&parts.extensions);
        trail.note(|record| record.address = address.map(|address| address.to_string()));
        let key = presented(parts)?;
        let holder = app.store.holder_of_key(&HashedKey::of(&key)).await?;
        let holder = holder.filter(Holder::is_in_time);
        let Some(holder) = holder else {
            if let Some(address) = address.or_else(|| peer_of(parts)) {
                app.limits.count_wrong_key(address)?;
            }
            trail.note(|record| "wrong key".clone_into(&mut record.action));
            return Err(Rejection::InvalidKey);
        };
        tracing::Span::current().record("user_id", holder.user.id);
        trail.note(|record| {
            record.user_id = Some(holder.user.id);
            record.key_id = Some(holder.key_id);
        });
        check_terms(app, &holder.terms, holder.key_id, address)?;
        let route = parts.extensions.get::<MatchedPath>();
        let pass = Arc::new(Pass::Key {
            key_id: holder.key_id,
            method: parts.method.clone(),
            route: route.map_or("", MatchedPath::as_str).to_owned(),
        });
        let caller = Self::of_key(holder, pass.clone())?;
        if let Pass::Key { method, route, .. } = &*pass
            && let Some(action) = access::action(method, route)
        {
            trail.note(|record| action.clone_into(&mut record.action));
        }
        // For who reads the body, which may take its time.
        parts.extensions.insert(pass);
        Ok(caller)
    }
}

impl Pass {
    /// Whom it lets in by now.
    pub(super) async fn caller(self: &Arc<Self>, app: &App) -> Result<Caller, Rejection> {
        match &**self {
            Self::Key { key_id, .. } => {
                let holder = app.store.holder_of_key_id(*key_id).await?;
                let holder = holder.filter(Holder::is_in_time).ok_or(Rejection::InvalidKey)?;
                Ok(Caller::of_key(holder, self.clone())?)
            }
            Self::Feed { id, token_hash } => {
                let feed = app.store.feed(*id).await?;
                let feed = feed.filter(|feed| feed.is_opened_by(token_hash, now_us()));
                let feed = feed.ok_or(Rejection::NotFound)?;
                let holder = app.store.holder_of_feed(feed.id).await?;
                let holder = holder.filter(Holder::is_in_time).ok_or(Rejection::NotFound)?;
                Ok(Caller::of_feed(holder, &feed)?)
            }
            Self::Link { user_id } => {
                let user = app.store.user(*user_id).await?;
                let user = user.filter(|user| user.api_access).ok_or(Rejection::NotFound)?;
                Ok(Caller::of_link(user))
            }
        }
    }
}

/// Whether a key may be used from there, and as often.
pub(super) fn check_terms(
    app: &App,
    terms: &KeyTerms,
    key_id: i64,
    address: Option<IpAddr>,
) -> Result<(), Rejection> {
    // First, so that refusals have a rate too.
    if let Some(max) = terms.rate_max {
        app.limits.count_request(key_id, max)?;
    }
    if !terms.may_come_from(address) {
        let message = "this key cannot be used from this address";
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    Ok(())
}

impl Caller {
    /// Who has a key, if it opens the route.
    fn of_key(holder: Holder, pass: Arc<Pass>) -> Result<Self, Error> {
        let caller = Self {
            user: holder.user,
            key_id: Some(holder.key_id),
            terms: Arc::new(holder.terms),
            pass,
            looked_at: Instant::now(),
        };
        if let Pass::Key { method, route, .. } = &*caller.pass {
            access::check(&caller, method, route)?;
        }
        Ok(caller)
    }

    /// Who a signed link acts for.
    pub(super) fn of_link(user: User) -> Self {
        Self {
            key_id: None,
            terms: Arc::default(),
            pass: Arc::new(Pass::Link { user_id: user.id }),
            looked_at: Instant::now(),
            user,
        }
    }

    /// Looks again who the caller is and what they may, after a wait: what was taken from them meanwhile is gone.
    pub(super) async fn look_again(&mut self, app: &App) -> Result<(), Rejection> {
        *self = self.pass.caller(app).await?;
        Ok(())
    }

    /// The same, unless it was done a moment ago; whether it was done now.
    pub(super) async fn look_again_in_time(&mut self, app: &App) -> Result<bool, Rejection> {
        let is_time = self.looked_at.elapsed() > LOOK_AGAIN_AFTER;
        if is_time {
            self.look_again(app).await?;
        }
        Ok(is_time)
    }

    /// Who a feed acts for: its user, on its report alone, in the share that its key has of the queue.
    /// Refused while it is paused.
    pub(super) fn of_feed(holder: Holder, feed: &Feed) -> Result<Self, Error> {
        if feed.is_paused {
            return Err(Error::new(ErrorCode::Forbidden, "this feed is paused"));
        }
        let terms = KeyTerms {
            reports: Some(vec![feed.report_id]),
            jobs_max: holder.terms.jobs_max,
            ..KeyTerms::default()
        };
        Ok(Self {
            user: holder.user,
            key_id: Some(holder.key_id),
            terms: Arc::new(terms),
            pass: Arc::new(Pass::Feed {
                id: feed.id,
                token_hash: feed.token_hash.clone(),
            }),
            looked_at: Instant::now(),
        })
    }

    /// Whose share of the queue a job takes.
    pub(super) fn key(&self) -> Option<KeyShare> {
        let jobs_max = self.terms.jobs_max;
        self.key_id.map(|id| KeyShare { id, jobs_max })
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.user.role == Role::Administrator
    }

    /// Whether jobs, feeds and imports of others are the caller's to see and to stop:
    /// an administrator's, with a key that is for that.
    pub(crate) fn manages_all(&self) -> bool {
        self.is_administrator() && self.terms.has_scope(Scope::Admin) && !self.terms.is_of_reports()
    }

    pub(crate) fn sight(&self) -> Result<Sight, Error> {
        let json = |value: &Vec<i64>| serde_json::to_string(value).map_err(Error::internal);
        Ok(Sight {
            user_id: self.user.id,
            reach: match (self.is_administrator(), self.manages_all()) {
                (_, true) => Reach::AllJobs,
                (true, false) => Reach::AllReports,
                (false, false) => Reach::Nothing,
            },
            reports: self.terms.reports.as_ref().map(json).transpose()?,
            pins: match self.terms.pins.is_empty() {
                true => None,
                false => Some(self.pins()?),
            },
        })
    }

    /// The pinned values, as jobs keep them.
    pub(crate) fn pins(&self) -> Result<String, Error> {
        serde_json::to_string(&self.terms.pins).map_err(Error::internal)
    }
}

/// The other end of the connection.
pub(super) fn peer_of(parts: &Parts) -> Option<IpAddr> {
    Some(parts.extensions.get::<Peer>()?.0.to_canonical())
}

/// Where a request comes from: the other end of the connection, or whom a proxy names that is trusted.
/// `None` where a trusted proxy names something else than an address.
pub(super) fn address_of(parts: &Parts, app: &App) -> Option<IpAddr> {
    let peer = peer_of(parts)?;
    let trusted = |address: &IpAddr| {
        let networks = &app.config.trusted_proxies;
        networks.iter().any(|network| network.contains(address))
    };
    let lines: Vec<&[u8]> = parts
        .headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    // Each proxy adds whom it heard at the end: what is left of the first that is not trusted, anybody may have sent.
    let mut address = peer;
    for named in lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','))
    {
        if !trusted(&address) {
            break;
        }
        address = named_address(named)?;
    }
    Some(address)
}

/// An address, perhaps with a port.
pub(super) fn named_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

pub(super) fn has_key(parts: &Parts) -> bool {
    presented(parts).is_ok()
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
