//! Who asks: bearer tokens, or everybody in development.

use std::collections::HashMap;

use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ingot_catalog::Metastore;
use ingot_common::{Kind, Principal, ServiceError};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Authentication;
use crate::error::ApiError;
use crate::request_id::RequestId;
use crate::state::AppState;

/// Carries the id of a statement: in an answer, and in the request of a client that wants to ask about it meanwhile.
pub const STATEMENT_ID: HeaderName = HeaderName::from_static("x-ingot-statement-id");

/// Who asks, and under which id; an extension of every request that was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The SHA-256 of its token in lower-case hex; none in development.
    pub token: Option<String>,
    pub request_id: RequestId,
    /// What its program says of itself.
    pub user_agent: Option<String>,
    /// The id that it gives the statement of the request, if it gives one.
    pub statement_id: Option<Uuid>,
}

impl Caller {
    /// Makes the caller of a request with these headers.
    pub fn new(holder: Holder, request_id: RequestId, headers: &HeaderMap) -> Self {
        Self {
            principal: holder.principal,
            token: holder.token,
            request_id,
            user_agent: text(headers, &USER_AGENT).map(str::to_owned),
            statement_id: text(headers, &STATEMENT_ID).and_then(|id| Uuid::parse_str(id).ok()),
        }
    }
}

/// Who a request is from.
#[derive(Debug, Clone)]
pub struct Holder {
    pub principal: Principal,
    /// As [`Caller::token`].
    pub token: Option<String>,
}

/// Knows who holds which token.
#[derive(Debug)]
pub enum Authenticator {
    /// Principals by the SHA-256 of their token in lower-case hex; those that are not here, the metastore may know.
    /// Tokens are random, so a hash tells nothing and the time of a look-up tells nothing about a token.
    Tokens(HashMap<String, Principal>, Metastore),
    Development(Principal),
}

impl Authenticator {
    /// Makes an authenticator of the server's settings.
    pub fn new(authentication: Authentication, metastore: Metastore) -> Self {
        match authentication {
            Authentication::Tokens(tokens) => {
                let tokens = tokens.into_iter();
                let tokens = tokens.map(|(hash, principal)| (hash, Principal::new(principal)));
                Self::Tokens(tokens.collect(), metastore)
            }
            Authentication::Development { principal } => Self::Development(Principal::new(principal)),
        }
    }

    /// Returns who sent a request with these headers to a host of this name.
    ///
    /// # Errors
    /// `Unauthenticated` without a token or with an unknown one; `PermissionDenied` in development for a request
    /// to another host's name; `Unavailable` when the metastore does not answer.
    pub async fn holder(&self, host: Option<&str>, headers: &HeaderMap) -> Result<Holder, ServiceError> {
        match self {
            Self::Tokens(tokens, metastore) => {
                let token = bearer(headers).ok_or_else(|| {
                    ServiceError::new(Kind::Unauthenticated, "no bearer token in header `Authorization`")
                })?;
                let hash = hash(token);
                let known = match tokens.get(&hash) {
                    Some(principal) => Some(principal.clone()),
                    None => {
                        let holder = metastore.token_holder(&hash).await;
                        let holder = holder.map_err(|error| ServiceError::from_error(&error))?;
                        holder.map(Principal::new)
                    }
                };
                let principal = known
                    .ok_or_else(|| ServiceError::new(Kind::Unauthenticated, "bearer token is not known"))?;
                let token = Some(hash);
                Ok(Holder { principal, token })
            }
            // A page of another site reaches a loopback server under a name of its own choice (DNS rebinding).
            Self::Development(principal) if host.is_some_and(is_loopback) => Ok(Holder {
                principal: principal.clone(),
                token: None,
            }),
            Self::Development(_) => Err(ServiceError::new(
                Kind::PermissionDenied,
                "development mode answers requests to localhost only",
            )),
        }
    }
}

/// Lets a request through with its [`Caller`] as an extension, or answers 401 or 403.
pub async fn require(
    State(state): State<AppState>,
    Extension(request_id): Extension<RequestId>,
    mut request: Request,
    next: Next,
) -> Response {
    let host = host(&request);
    match state.authenticator.holder(host, request.headers()).await {
        Ok(holder) => {
            let caller = Caller::new(holder, request_id, request.headers());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            let challenge = error.kind == Kind::Unauthenticated;
            let mut response = ApiError::from(error).into_response();
            if challenge {
                let value = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn hash(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the host that a request is to: HTTP/2 has it in its address (RFC 9113, 8.3.1), HTTP/1 in a header.
pub fn host<B>(request: &axum::http::Request<B>) -> Option<&str> {
    let authority = request.uri().authority().map(Authority::as_str);
    authority.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// Returns how the client reaches the server: `https://HOST:PORT`. A proxy that speaks TLS for the server says so. Source:
/// the header's use by proxies, <https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-Proto>.
pub fn origin<B>(state: &AppState, request: &axum::http::Request<B>) -> String {
    let forwarded = request.headers().get("x-forwarded-proto");
    let scheme = match (state.tls, forwarded.map(HeaderValue::as_bytes)) {
        (true, _) | (false, Some(b"https")) => "https",
        _ => "http",
    };
    format!("{scheme}://{}", host(request).unwrap_or("localhost"))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    async fn metastore() -> (tempfile::TempDir, Metastore) {
        let folder = tempfile::tempdir().expect("folder");
        let root = url::Url::from_directory_path(folder.path()).expect("absolute path");
        let database = folder.path().join("metastore.sqlite");
        let metastore = Metastore::open(&database, &root).await.expect("metastore");
        (folder, metastore)
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("header"))])
    }

    #[test_case("Bearer secret", true; "the token")]
    #[test_case("bearer secret", true; "scheme in lower case")]
    #[test_case("Bearer other", false; "another token")]
    #[test_case("Basic secret", false; "another scheme")]
    #[test_case("secret", false; "no scheme")]
    #[tokio::test]
    async fn a_known_token_lets_in(value: &str, expected: bool) {
        let (_folder, metastore) = metastore().await;
        let tokens = vec![(hash("secret"), "ann".to_owned())];
        let authenticator = Authenticator::new(Authentication::Tokens(tokens), metastore);
        let holder = authenticator.holder(None, &headers(AUTHORIZATION, value)).await;
        assert_eq!(holder.is_ok(), expected);
    }

    #[tokio::test]
    async fn a_token_of_the_metastore_lets_in_until_it_is_revoked() {
        let (_folder, metastore) = metastore().await;
        let authenticator = Authenticator::new(Authentication::Tokens(Vec::new()), metastore.clone());
        let sent = headers(AUTHORIZATION, "Bearer secret");
        assert!(authenticator.holder(None, &sent).await.is_err());
        let hash = hash("secret");
        metastore.create_token(&hash, "bob", "admin").await.expect("made");
        let holder = authenticator.holder(None, &sent).await.expect("let in");
        assert_eq!(
            (holder.principal.as_str(), holder.token),
            ("bob", Some(hash.clone()))
        );
        assert_eq!(metastore.revoke_tokens(&hash[..12]).await.expect("revoked"), 1);
        assert!(authenticator.holder(None, &sent).await.is_err());
    }

    #[test_case("127.0.0.1:8080", true; "address")]
    #[test_case("localhost", true; "name")]
    #[test_case("[::1]:8080", true; "address of version 6")]
    #[test_case("evil.example:8080", false; "another name")]
    #[test_case("10.0.0.1", false; "another address")]
    #[tokio::test]
    async fn development_answers_localhost(host: &str, expected: bool) {
        let (_folder, metastore) = metastore().await;
        let principal = "ann".to_owned();
        let authenticator = Authenticator::new(Authentication::Development { principal }, metastore);
        let holder = authenticator.holder(Some(host), &HeaderMap::new()).await;
        assert_eq!(holder.is_ok(), expected);
    }
}
