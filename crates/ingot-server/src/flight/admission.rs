//! What stands before every call: HTTP/2, a token, a time, a session's cookie, a body that is told whole.
//!
//! The handshake takes HTTP Basic too, whatever the user's name is: the password is the token, and it goes on as a bearer
//! token, which is what the handshake answers with. Source: Arrow Flight RPC, "Authentication".

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, SET_COOKIE};
use axum::http::{HeaderMap, Version};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ingot_common::{Kind, ServiceError};
use tokio::time::Instant;

use super::body::Whole;
use super::call::{Call, time_over, timeout};
use super::session::Cookie;
use super::{invalid, status};
use crate::auth::{self, Caller};
use crate::request_id::RequestId;
use crate::state::AppState;

const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// Arrow's client in Go leaves the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lets a call through with its [`Call`] as an extension, until its time is over; or answers with a status.
pub(super) async fn admit(
    State(state): State<AppState>,
    Extension(request_id): Extension<RequestId>,
    mut request: Request,
    next: Next,
) -> Response {
    let call = match admitted(&state, request_id, &mut request).await {
        Ok(call) => call,
        Err(error) => return status::status(&error, request_id.0).into_http(),
    };
    request.extensions_mut().insert(call.clone());
    let request = request.map(|body| Body::new(Whole::new(body)));
    let answered = match call.deadline {
        None => next.run(request).await,
        Some(deadline) => match tokio::time::timeout_at(deadline, next.run(request)).await {
            Ok(answered) => answered,
            Err(_) => call.status(time_over()).into_http(),
        },
    };
    with_cookie(answered, &call)
}

async fn admitted(
    state: &AppState,
    request_id: RequestId,
    request: &mut Request,
) -> Result<Call, ServiceError> {
    if request.version() != Version::HTTP_2 {
        return Err(invalid("gRPC needs HTTP/2"));
    }
    let handshake = request.uri().path() == HANDSHAKE;
    if handshake && let Some(token) = basic(request.headers()) {
        request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
    }
    let headers = request.headers();
    let holder = state.authenticator.holder(auth::host(request), headers).await?;
    let time = match headers.get("grpc-timeout") {
        None => None,
        Some(text) => {
            let time = text.to_str().ok().and_then(timeout);
            Some(time.ok_or_else(|| invalid("the header `grpc-timeout` is no time"))?)
        }
    };
    let cookie = Cookie::of(headers);
    let context = state.context(Caller::new(holder, request_id, headers));
    Ok(Call {
        state: state.clone(),
        context,
        // A time that no clock reaches is none.
        deadline: time.and_then(|time| Instant::now().checked_add(time)),
        cookie,
        answered_cookie: Arc::new(OnceLock::new()),
    })
}

/// Returns the password of HTTP Basic.
fn basic(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn bearer(token: &str) -> Result<HeaderValue, ServiceError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| ServiceError::new(Kind::Unauthenticated, "the password is no access token"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn with_cookie(mut response: Response, call: &Call) -> Response {
    let cookie = call
        .answered_cookie
        .get()
        .cloned()
        .or_else(|| call.cookie.offer());
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("Basic dG9rZW46c2VjcmV0", Some("secret"); "user and password")]
    #[test_case("basic dG9rZW46YTpi", Some("a:b"); "a colon in the password")]
    #[test_case("Basic dG9rZW46c2VjcmV0cw", Some("secrets"); "without padding")]
    #[test_case("Basic dG9rZW46c2VjcmV0cw==", Some("secrets"); "with padding")]
    #[test_case("Bearer dG9rZW46c2VjcmV0", None; "another scheme")]
    #[test_case("Basic dG9rZW4=", None; "no password")]
    #[test_case("Basic %%%", None; "no base64")]
    fn the_password_of_basic_is_the_token(value: &str, expected: Option<&str>) {
        let value = HeaderValue::from_str(value).expect("header");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        assert_eq!(basic(&headers).as_deref(), expected);
    }
}
