//! Which session a call is of, by the cookie `arrow_flight_session_id`.
//!
//! ```text
//! no cookie ─► answered with the cookie `new`; what the call runs has a session of its own, which ends with it
//! `new` ─────► the client keeps cookies: a session is opened, and its number is the cookie
//! a number ──► that session, if it is the caller's
//! ```
//! So clients that keep no cookies leave no sessions behind, and connections, which clients pool and share, stand for
//! nothing. Source: Arrow Flight RPC, "Session management".

use std::sync::Arc;

use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use ingot_common::ServiceError;
use ingot_common::port::SessionRequest;
use uuid::Uuid;

use super::call::Call;
use crate::warehouse::{Session, SessionEnd};

/// The cookie's name.
const NAME: &str = "arrow_flight_session_id";

/// The value that asks a client to come back with it.
const OFFER: &str = "new";

/// What a client has shown of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    None,
    /// It keeps cookies.
    Offer,
    Session(Uuid),
}

impl Cookie {
    /// Reads the cookie of a request; one that is none of ours is none.
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(COOKIE).iter();
        let mut pairs = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find_map(|(name, value)| (name == NAME).then(|| value.trim_matches('"')));
        match value {
            Some(OFFER) => Self::Offer,
            Some(value) => Uuid::parse_str(value).map_or(Self::None, Self::Session),
            None => Self::None,
        }
    }

    /// Returns what a client that has none is offered.
    pub fn offer(self) -> Option<HeaderValue> {
        (self == Self::None).then(|| written(OFFER))
    }
}

/// Writes the cookie.
fn written(value: &str) -> HeaderValue {
    let text = format!("{NAME}={value}; Path=/; HttpOnly");
    // What is written is a number, or a word.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Writes the cookie that takes itself away.
fn expired() -> HeaderValue {
    HeaderValue::from_static("arrow_flight_session_id=; Path=/; Max-Age=0")
}

impl Call {
    /// Returns the session that what the call runs is of.
    ///
    /// # Errors
    /// `NotFound` for a session that is closed; its client is told to forget it, and begins anew with its next call.
    pub async fn session(&self) -> Result<Arc<Session>, ServiceError> {
        if self.cookie == Cookie::None {
            let request = SessionRequest::default();
            let warehouse = &self.state.warehouse;
            return warehouse
                .open_until(&self.context, request, SessionEnd::Empty)
                .await;
        }
        self.lasting_session().await
    }

    /// Returns the session of the cookie, or opens one.
    ///
    /// # Errors
    /// As [`Call::session`].
    pub async fn lasting_session(&self) -> Result<Arc<Session>, ServiceError> {
        let warehouse = &self.state.warehouse;
        if let Cookie::Session(id) = self.cookie {
            let session = warehouse.session(id, &self.context.principal);
            return session.inspect_err(|_| self.forget_cookie());
        }
        let session = warehouse.open(&self.context, SessionRequest::default()).await?;
        // A call has one session.
        let _ = self.answered_cookie.set(written(&session.id().to_string()));
        Ok(session)
    }

    /// Closes the session of the cookie. Returns `false` where there is none.
    pub fn close_session(&self) -> bool {
        self.forget_cookie();
        match self.cookie {
            Cookie::Session(id) => {
                let closed = self.state.warehouse.close(id, &self.context.principal);
                closed.is_ok()
            }
            Cookie::None | Cookie::Offer => false,
        }
    }

    fn forget_cookie(&self) {
        let _ = self.answered_cookie.set(expired());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    #[test_case(&[], Cookie::None; "no header")]
    #[test_case(&["a=b"], Cookie::None; "another cookie")]
    #[test_case(&["a=b; arrow_flight_session_id=new"], Cookie::Offer; "the offer")]
    #[test_case(&["a=b", "arrow_flight_session_id=67e55044-10b1-426f-9247-bb680e5fe0c8"], Cookie::Session(id()); "two headers")]
    #[test_case(&["arrow_flight_session_id=\"67e55044-10b1-426f-9247-bb680e5fe0c8\""], Cookie::Session(id()); "in quotes")]
    #[test_case(&["arrow_flight_session_id=7"], Cookie::None; "no number of ours")]
    fn a_cookie_is_read(values: &[&str], expected: Cookie) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_str(value).expect("header"));
        }
        assert_eq!(Cookie::of(&headers), expected);
    }

    fn id() -> Uuid {
        Uuid::parse_str(ID).expect("a number")
    }
}
